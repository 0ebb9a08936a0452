// A folder whose signature was checked. What read() returns are the very bytes whose digest was compared: each file is
// read once, so nothing can change between the check and the use.
//
//   auto verified = VerifiedFiles::open(files, keys);
//   auto bytes = verified->read("model.onnx", most);
//   if (auto rest = verified->check_rest(most); !rest) ...
#pragma once

#include <set>
#include <string>
#include <vector>

#include "artifact/claims.h"
#include "artifact/files.h"
#include "artifact/signing_key.h"

namespace penstock::artifact {

class VerifiedFiles {
 public:
  // Checks the signature in the folder (manifest.json with manifest.sig, else model.sig), and that the folder has the
  // files it names and no others. `files` outlives this. Errors: permission_denied, which says what did not hold and
  // what to do, and those of the formats.
  static Result<VerifiedFiles> open(const Files& files, const std::vector<PublicKey>& keys);

  // Errors: permission_denied for a file that is not signed, or is not what was signed; those of Files::stream().
  Result<std::string> read(const std::string& path, std::uint64_t bytes_max);
  // Every file that was not read yet.
  Result<void> check_rest(std::uint64_t bytes_max);

  const Claims& claims() const { return claims_; }
  const std::string& key_id() const { return key_id_; }

 private:
  explicit VerifiedFiles(const Files& files) : files_(&files) {}
  Result<void> check_names() const;
  const ClaimedFile* claim_of(const std::string& path) const;
  Result<void> check(const std::string& path, std::uint64_t bytes_max, const Files::Sink& sink);

  const Files* files_;
  Claims claims_;
  std::string key_id_;
  std::set<std::string> checked_;
};

// The claims of a folder as it is, for signing it: every file but signatures. Errors: those of Files.
Result<Claims> claim(const Files& files, std::uint64_t bytes_max);

}  // namespace penstock::artifact
