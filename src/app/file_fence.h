// Which files this process can still open, by the kernel's Landlock:
// https://docs.kernel.org/userspace-api/landlock.html
#pragma once

#include <string>
#include <vector>

#include "base/result.h"

namespace penstock::app {

// From now on the calling thread, and those it starts, read files under `folders` (those that there are) and open, make
// or change nothing else. Fails with unimplemented where the kernel has no Landlock.
Result<void> fence_files(const std::vector<std::string>& folders);

}  // namespace penstock::app
