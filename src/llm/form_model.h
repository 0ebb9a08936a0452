// The field `model` of a form that streams by: which model is asked for, and where its name stands, so that another can
// be put in its place.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "wire/multipart.h"

namespace penstock::llm {

// Whether a text may be the name of a model: neither empty nor with control characters in it.
bool is_model_name(std::string_view text);

class FormModel : private wire::MultipartListener {
 public:
  // `expected` not empty: the only name the form may have, because it was named elsewhere already.
  FormModel(std::string_view boundary, std::string expected);

  // Takes the next bytes of the form. invalid_argument when the form is malformed, names its model twice (gateway and
  // provider could read different ones) or names another than expected.
  Result<void> feed(std::string_view bytes);
  // No bytes are left: invalid_argument when the form lacks its end or its model.
  Result<void> finish() const;

  // The whole field was seen; its value stands at [begin, end) of the form.
  bool found() const { return found_; }
  const std::string& name() const { return name_; }
  std::uint64_t begin() const { return begin_; }
  std::uint64_t end() const { return end_; }
  // Bytes of the form so far that are certain not to belong to the value of a field that is not whole yet.
  std::uint64_t settled() const { return inside_ ? begin_ : taken_; }

 private:
  void on_part(std::string_view name, std::string_view file, std::uint64_t offset) override;
  void on_content(std::string_view bytes) override;
  void on_part_end(std::uint64_t offset) override;
  // The first thing that is wrong is the one to hear about.
  void refuse(std::string why) {
    if (defect_.empty()) defect_ = std::move(why);
  }

  wire::MultipartReader reader_;
  std::string expected_;
  std::string name_;
  std::string defect_;
  std::uint64_t taken_ = 0;
  std::uint64_t begin_ = 0;
  std::uint64_t end_ = 0;
  bool inside_ = false;
  bool found_ = false;
};

}  // namespace penstock::llm
