#include "artifact/claims.h"

#include <algorithm>

namespace penstock::artifact {

bool Claims::ignores(std::string_view path) const {
  return std::any_of(ignored.begin(), ignored.end(), [&](std::string_view one) {
    return path.starts_with(one) && (path.size() == one.size() || path[one.size()] == '/');
  });
}

const ClaimedFile* Claims::find(std::string_view path) const {
  auto found = std::lower_bound(files.begin(), files.end(), path,
                                [](const ClaimedFile& file, std::string_view wanted) { return file.path < wanted; });
  return found != files.end() && found->path == path ? &*found : nullptr;
}

bool is_plain_path(std::string_view path) {
  constexpr std::size_t kPathBytesMax = 1024;
  if (path.empty() || path.size() > kPathBytesMax) return false;
  if (std::any_of(path.begin(), path.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; }))
    return false;
  while (true) {
    std::size_t slash = path.find('/');
    std::string_view name = path.substr(0, slash);
    if (name.empty() || name == "." || name == "..") return false;
    if (slash == std::string_view::npos) return true;
    path.remove_prefix(slash + 1);
  }
}

}  // namespace penstock::artifact
