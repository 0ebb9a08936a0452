// Penstock's own manifest: every file of one version of a model, in one JSON text that has one way to be written. Its
// signature is a file of its own, over exactly these bytes: for Ed25519 the 64 bytes of RFC 8032, so that
// `openssl pkeyutl -verify -pubin -inkey KEY -rawin -in manifest.json -sigfile manifest.sig` checks it too.
//
//   {"format":"penstock-manifest-1","model":"bearing","version":4,"files":[
//   {"path":"model.onnx","size":9120,"sha256":"9f86d0..."}
//   ]}
#pragma once

#include "artifact/claims.h"
#include "base/result.h"

namespace penstock::artifact {

constexpr std::string_view kManifestFile = "manifest.json";
constexpr std::string_view kManifestSignatureFile = "manifest.sig";
constexpr std::size_t kManifestBytesMax = 4U << 20;

// Of claims whose files have a size and one SHA-256 of all of it.
std::string write_manifest(const Claims& claims);
// Takes nothing but what write_manifest() writes. Errors: data_loss, unimplemented (another format).
Result<Claims> read_manifest(std::string_view text);

}  // namespace penstock::artifact
