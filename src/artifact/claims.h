// What a signature says about the files of a folder, whatever format it came in.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "artifact/digest.h"

namespace penstock::artifact {

// [begin, end) of a file; `end` is kUnknownEnd where the digest is of the whole file.
struct ClaimedPart {
  static constexpr std::uint64_t kUnknownEnd = UINT64_MAX;
  std::uint64_t begin = 0;
  std::uint64_t end = kUnknownEnd;
  std::string digest;  // raw
  bool operator==(const ClaimedPart&) const = default;
};

struct ClaimedFile {
  std::string path;  // relative, with '/'
  std::optional<std::uint64_t> size = {};
  HashType hash = HashType::sha256;
  std::vector<ClaimedPart> parts = {};  // ascending, without gaps, from 0; one at least
  bool operator==(const ClaimedFile&) const = default;
};

struct Claims {
  std::string model = {};                 // whose files these are; empty: not said
  std::int64_t version = 0;               // 0: not said
  std::vector<ClaimedFile> files = {};    // by path, each once
  std::vector<std::string> ignored = {};  // files, or folders with all in them, that nothing is said about
  bool single = false;                    // of one file, whatever it is called: files has one, with an empty path
  bool empty_files_unnamed = false;       // the format has no place for files without bytes
  bool ignores(std::string_view path) const;
  const ClaimedFile* find(std::string_view path) const;
};

// Relative, of names that are neither empty nor "." nor "..", at most 1,024 bytes, without control characters.
bool is_plain_path(std::string_view path);

}  // namespace penstock::artifact
