// Signatures of one family in the text fields of another: the client gives them back as they came, and on their way
// back to the family that made them they are bare again.
#pragma once

#include <string>
#include <string_view>

#include "chat/content.h"

namespace penstock::chat {

// For a field of `dialect`: bare when it is that family's own, else "penstock:FAMILY:" and the bytes. `redacted` is
// that of the thought, for fields where it can only be guessed: "penstock:redacted:FAMILY:".
std::string write_signature(const Signature& signature, Family dialect, bool redacted = false);
// The inverse: what stands in a field of `dialect`.
Signature read_signature(std::string_view text, Family dialect);
// The mark of another family says that its thought is redacted.
bool marks_redacted(std::string_view text);

}  // namespace penstock::chat
