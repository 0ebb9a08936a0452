#include "ext/apis/gemini/seal.h"

#include "chat/base64.h"
#include "chat/signature.h"

namespace penstock::ext {
namespace {

using chat::Family;

constexpr std::string_view kForeign = "penstock:";
constexpr std::string_view kRedacted = "r:";  // before the mark of a foreign seal

}  // namespace

std::string write_seal(const chat::Signature& signature, bool redacted) {
  std::string text = chat::write_signature(signature, Family::gemini);
  if (signature.family == Family::gemini) return text;
  return chat::write_base64(redacted ? std::string(kRedacted) + text : text);
}

Seal read_seal(std::string text) {
  if (text.empty()) return {};
  if (auto bytes = chat::read_base64(text)) {
    std::string_view mark = *bytes;
    bool redacted = mark.starts_with(kRedacted);
    if (redacted) mark.remove_prefix(kRedacted.size());
    if (mark.starts_with(kForeign)) return {chat::read_signature(mark, Family::gemini), redacted};
  }
  return {{std::move(text), Family::gemini}};
}

}  // namespace penstock::ext
