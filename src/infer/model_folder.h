// The files of one model on disk: which versions there are, and whether their files are those that were seen before.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/registry.h"
#include "base/result.h"

namespace penstock::infer {

// Tells a file that was changed, replaced or is being written from one that stood still.
struct Stamp {
  std::uint64_t bytes = 0;    // of the model file and what stands beside it
  std::int64_t modified = 0;  // of the newest of them, nanoseconds
  std::uint64_t inodes = 0;   // of all of them, mixed with their names
  bool operator==(const Stamp&) const = default;
};

// A version and its model file. `reason`: why it has none.
struct Candidate {
  std::int64_t number = 0;
  std::string file;
  std::string runtime;  // the registry's name of what takes the file
  std::string reason;
  bool alone = false;  // what stands beside the file is not the model's
};

// The versions under `path`, ascending: a directory of numbered directories; one that holds the model file itself,
// which is then version 1; or the model file. Symbolic links are followed. not_found, permission_denied or
// unimplemented with what to do.
Result<std::vector<Candidate>> scan_folder(const base::Registry& registry, const std::string& path);

// Reads the disk. Fails with not_found when the file vanished.
Result<Stamp> stamp_of(const Candidate& candidate);

// All of it in one number, model.yaml and config.pbtxt included: another one when something there was changed, added or
// removed.
std::uint64_t sight_of(const base::Registry& registry, const std::string& path);

}  // namespace penstock::infer
