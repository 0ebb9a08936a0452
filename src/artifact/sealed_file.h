// Files encrypted at rest: AES-256-GCM over segments of 64 KiB, the STREAM construction (Hoang, Reyhanitabar, Rogaway,
// Vizár: Online Authenticated-Encryption and its Nonce-Reuse Misuse-Resistance, 2015).
//
//   header   "PNSTKENC" | version 1 | 3 zero bytes | salt (32) | nonce prefix (7)          51 bytes
//   segment  up to 65,536 bytes of AES-256-GCM | tag (16)                                   all but the last are full
//
//   key of the file   HKDF-SHA-256 (RFC 5869) of the configured key, the salt, and "penstock model file 1"
//   nonce             prefix | number of the segment, 4 bytes, big endian | 1 for the last segment, else 0
//   associated data   the header
//
// So a segment that was changed, moved, left out, repeated, or cut off at the end shows, and so does a changed header.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/secret.h"

namespace penstock::artifact {

// 32 bytes, as 64 hexadecimal digits or as base64; white space around them is allowed. The error never repeats them.
// Errors: invalid_argument.
Result<base::Secret> parse_encryption_key(const base::Secret& text);
// A new one, in hexadecimal.
base::Secret make_encryption_key();

bool is_sealed(std::string_view bytes);
std::string seal(std::string_view plain, const base::Secret& key);
// Works in the memory of `sealed`, whose bytes are gone when it fails. Nothing is given out before all of it proved to
// be whole. Errors: invalid_argument (not sealed), unimplemented (another version), data_loss (another key, or
// changed).
Result<std::string> unseal(std::string sealed, const base::Secret& key);

// A string that is wiped when the last owner lets go of it.
std::shared_ptr<const std::string> wiped_at_end(std::string bytes);

}  // namespace penstock::artifact
