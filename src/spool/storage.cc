#include "spool/storage.h"

#include <filesystem>

namespace penstock::spool {

Result<void> make_path(Storage& storage, const std::string& path) {
  const std::string above = std::filesystem::path(path).parent_path().string();
  auto made = storage.make_folder(path);
  if (!made && made.error().code == Errc::not_found && !above.empty() && above != path) {
    if (auto parent = make_path(storage, above); !parent) return parent;
    made = storage.make_folder(path);
  }
  if (!made) return made;
  // Also of one that was there: who made it may have been killed before its name was on the medium.
  return storage.sync_folder(above.empty() ? "." : above);
}

}  // namespace penstock::spool
