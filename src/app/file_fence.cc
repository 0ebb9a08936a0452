#include "app/file_fence.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/landlock.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace penstock::app {
namespace {

constexpr std::uint64_t kReading = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR;
// Those of the first version, which every kernel with Landlock knows.
constexpr std::uint64_t kAll = (LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1;

std::unexpected<Error> refused(std::string_view what) {
  Errc code = errno == ENOSYS || errno == EOPNOTSUPP ? Errc::unimplemented : Errc::unavailable;
  return fail(code, fmt::format("files cannot be fenced: {}: {}", what, std::strerror(errno)));
}

void allow(int rules, const std::string& folder) {
  int fd = ::open(folder.c_str(), O_PATH | O_CLOEXEC);
  if (fd < 0) return;
  landlock_path_beneath_attr rule{};
  rule.allowed_access = kReading;
  rule.parent_fd = fd;
  ::syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
  ::close(fd);
}

}  // namespace

Result<void> fence_files(const std::vector<std::string>& folders) {
  landlock_ruleset_attr attributes{};
  attributes.handled_access_fs = kAll;
  // The first version knows this much of the structure.
  int rules =
      static_cast<int>(::syscall(SYS_landlock_create_ruleset, &attributes, sizeof(attributes.handled_access_fs), 0));
  if (rules < 0) return refused("the kernel takes no rules");
  for (const std::string& folder : folders) allow(rules, folder);
  ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  bool done = ::syscall(SYS_landlock_restrict_self, rules, 0) == 0;
  int error = errno;
  ::close(rules);
  errno = error;
  if (!done) return refused("the kernel does not hold to the rules");
  return {};
}

}  // namespace penstock::app
