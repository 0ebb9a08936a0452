// Signatures that `model_signing sign key` makes (OpenSSF Model Signing): a Sigstore bundle (v0.3 JSON) with a DSSE
// envelope (secure-systems-lab/dsse, protocol 1.0) around an in-toto statement (v1) whose predicate is
// https://model_signing/signature/v1.0. Only signatures by a key are checked: those that name an identity need
// Sigstore's transparency log.
#pragma once

#include <vector>

#include "artifact/claims.h"
#include "artifact/signing_key.h"
#include "base/result.h"

namespace penstock::artifact {

constexpr std::string_view kBundleFile = "model.sig";
constexpr std::size_t kBundleBytesMax = 16U << 20;

struct SignedClaims {
  Claims claims;
  std::string key_id;
};

// The claims, once one of `keys` signed them. Errors: permission_denied (none of them did), data_loss (no such bundle),
// unimplemented (signed by an identity, hashes or methods that are not known here).
Result<SignedClaims> open_bundle(std::string_view bundle, const std::vector<PublicKey>& keys);

// The claims of a statement whose signature was checked. For open_bundle() and its tests.
Result<Claims> read_statement(std::string_view payload);

}  // namespace penstock::artifact
