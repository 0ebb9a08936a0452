// What a part's thoughtSignature says. The field holds bytes, in JSON base64: another family's seal stands in it as the
// base64 of its own mark, or clients could not read it.
#pragma once

#include <string>

#include "chat/content.h"

namespace penstock::ext {

struct Seal {
  chat::Signature signature = {};
  bool redacted = false;  // the seal is all there is of the thought; Gemini's own show it by where they stand instead
};

std::string write_seal(const chat::Signature& signature, bool redacted);
Seal read_seal(std::string text);

}  // namespace penstock::ext
