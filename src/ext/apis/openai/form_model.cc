#include "ext/apis/openai/form_model.h"

#include <fmt/format.h>

namespace penstock::ext {
namespace {

// Longer than any name of a model.
constexpr std::size_t kNameBytesMax = 512;

}  // namespace

FormModel::FormModel(std::string_view boundary, std::string expected)
    : reader_(boundary, *this), expected_(std::move(expected)) {}

Result<void> FormModel::feed(std::string_view bytes) {
  taken_ += bytes.size();
  auto fed = reader_.feed(bytes);
  if (!fed) return fail(Errc::invalid_argument, "the form is malformed: " + fed.error());
  if (!defect_.empty()) return fail(Errc::invalid_argument, defect_);
  return {};
}

void FormModel::on_part(std::string_view name, std::string_view, std::uint64_t offset) {
  if (name != "model") return;
  if (found_) refuse("the form has the field 'model' twice");
  inside_ = !found_;
  begin_ = inside_ ? offset : begin_;
}

void FormModel::on_content(std::string_view bytes) {
  if (!inside_) return;
  if (name_.size() + bytes.size() > kNameBytesMax) {
    refuse("the field 'model' of the form is no name of a model: it is longer than 512 bytes");
    return;
  }
  name_ += bytes;
}

void FormModel::on_part_end(std::uint64_t offset) {
  if (!std::exchange(inside_, false)) return;
  end_ = offset;
  found_ = true;
  if (name_.empty()) refuse("the field 'model' of the form is empty");
  if (!expected_.empty() && name_ != expected_) {
    refuse(fmt::format("the form asks for the model '{}', but the header x-penstock-model names '{}'",
                       name_.substr(0, 100), expected_.substr(0, 100)));
  }
}

}  // namespace penstock::ext
