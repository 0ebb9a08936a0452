#include "chat/signature.h"

namespace penstock::chat {
namespace {

constexpr std::string_view kMark = "penstock:";
constexpr std::string_view kRedactedMark = "penstock:redacted:";

}  // namespace

std::string write_signature(const Signature& signature, Family dialect, bool redacted) {
  if (signature.empty() || signature.family == dialect) return signature.bytes;
  std::string text(redacted ? kRedactedMark : kMark);
  text += to_string(signature.family);
  text += ':';
  return text += signature.bytes;
}

bool marks_redacted(std::string_view text) { return text.starts_with(kRedactedMark); }

Signature read_signature(std::string_view text, Family dialect) {
  if (text.starts_with(kMark)) {
    std::string_view rest = text.substr(marks_redacted(text) ? kRedactedMark.size() : kMark.size());
    for (std::size_t i = 0; i < kFamilies; ++i) {
      auto family = static_cast<Family>(i);
      std::string_view name = to_string(family);
      if (rest.starts_with(name) && rest.substr(name.size()).starts_with(':'))
        return {std::string(rest.substr(name.size() + 1)), family};
    }
  }
  return {std::string(text), dialect};
}

}  // namespace penstock::chat
