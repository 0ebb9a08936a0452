#include "llm/form_model.h"

#include <fmt/format.h>

#include <algorithm>

#include "wire/fields.h"

namespace penstock::llm {
namespace {

// Longer than any name of a model.
constexpr std::size_t kNameBytesMax = 512;

bool is_control(char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }

// Servers that ignore case, blanks or brackets in the names of fields would take it for the model.
bool resembles_model(std::string_view name) {
  name = name.substr(0, name.find('['));
  while (name.starts_with(' ')) name.remove_prefix(1);
  while (name.ends_with(' ')) name.remove_suffix(1);
  return wire::equal_ignoring_case(name, "model");
}

}  // namespace

bool is_model_name(std::string_view text) {
  return !text.empty() && std::none_of(text.begin(), text.end(), is_control);
}

FormModel::FormModel(std::string_view boundary, std::string expected)
    : reader_(boundary, *this), expected_(std::move(expected)) {}

Result<void> FormModel::feed(std::string_view bytes) {
  taken_ += bytes.size();
  auto fed = reader_.feed(bytes);
  if (!fed) return fail(Errc::invalid_argument, "the form is malformed: " + fed.error());
  if (!defect_.empty()) return fail(Errc::invalid_argument, defect_);
  return {};
}

Result<void> FormModel::finish() const {
  if (!reader_.done())
    return fail(Errc::invalid_argument, "the form is malformed: it ends before its closing boundary");
  if (!found_) return fail(Errc::invalid_argument, "the form has no field 'model'");
  return {};
}

void FormModel::on_part(std::string_view name, std::string_view file, std::uint64_t offset) {
  if (name != "model") {
    if (resembles_model(name)) refuse("the form has a field that could be taken for 'model'; write it exactly so");
    return;
  }
  if (!file.empty()) refuse("the field 'model' of the form is a file");
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
  if (!is_model_name(name_)) refuse("the field 'model' of the form has control characters in it");
  if (!expected_.empty() && name_ != expected_) {
    refuse(fmt::format("the form asks for the model '{}', but the header x-penstock-model names '{}'",
                       name_.substr(0, 100), expected_.substr(0, 100)));
  }
}

}  // namespace penstock::llm
