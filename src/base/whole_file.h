// Files that are there whole or not at all.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace penstock::base {

// Writes `bytes` to `path`, readable as `mode` says, and to the disk before it returns. Whoever reads meanwhile, and
// whatever interrupts this, finds the file before or the one after it; a symbolic link in its place is replaced, not
// followed. Without `replace` a file that is there stays. Blocks for the disk; any thread; of several at once
// the last one's stays.
// Errors: already_exists, permission_denied, resource_exhausted (no room).
Result<void> write_whole(const std::string& path, std::string_view bytes, unsigned int mode, bool replace);

}  // namespace penstock::base
