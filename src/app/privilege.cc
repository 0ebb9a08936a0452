#include "app/privilege.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>

#include "obs/log.h"

namespace penstock::app {
namespace {

std::unexpected<Error> failed(std::string_view what) {
  return fail(Errc::internal, fmt::format("security: {}: {}", what, std::strerror(errno)));
}

// The folder is made as root and given away; one that is there belongs to whom it belongs.
Result<void> make_for(const std::string& folder, uid_t uid, gid_t gid) {
  std::error_code ec;
  std::filesystem::path path = std::filesystem::absolute(folder, ec).lexically_normal();
  if (!path.has_filename()) path = path.parent_path();
  std::filesystem::create_directories(path.parent_path(), ec);
  if (::mkdir(path.c_str(), 0700) != 0) return {};
  int fd = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  bool given = fd >= 0 && ::fchown(fd, uid, gid) == 0;
  int error = errno;
  if (fd >= 0) ::close(fd);
  errno = error;
  if (!given) return failed(fmt::format("{} cannot be given to the user", folder));
  return {};
}

// Only this thread's: those it starts later have the same.
Result<void> drop_capabilities(bool keep_low_ports) {
  constexpr unsigned kAll = 63;
  prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  // Refused without CAP_SETPCAP; then no_new_privs is what keeps them from coming back.
  for (unsigned long one = 0; one <= kAll; ++one) {
    if (!keep_low_ports || one != CAP_NET_BIND_SERVICE) prctl(PR_CAPBSET_DROP, one, 0, 0, 0);
  }
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  std::array<__user_cap_data_struct, 2> have{};
  if (::syscall(SYS_capget, &header, have.data()) != 0) return failed("capabilities cannot be read");
  std::uint32_t kept = keep_low_ports ? have[0].permitted & (1U << CAP_NET_BIND_SERVICE) : 0;
  std::array<__user_cap_data_struct, 2> wanted{};
  wanted[0].permitted = wanted[0].effective = kept;
  if (::syscall(SYS_capset, &header, wanted.data()) != 0) return failed("capabilities cannot be dropped");
  return {};
}

// Neither the kernel's dumps nor another process of this user may copy the memory, where keys and prompts are.
void hide_memory() {
  rlimit none{0, 0};
  setrlimit(RLIMIT_CORE, &none);
  prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

}  // namespace

SecurityConfig read_security(const config::Node& node) {
  SecurityConfig config;
  if (!node.present()) return config;
  config::Map map = node.map();
  config.user = map.text("user");
  std::string seccomp = map.choice("seccomp", {"off", "log", "on"}, "off");
  config.seccomp = seccomp == "on"    ? SystemCalls::Mode::on
                   : seccomp == "log" ? SystemCalls::Mode::log
                                      : SystemCalls::Mode::off;
  config.upgrade = map.boolean("upgrade", false);
  config.drop_capabilities = map.choice("capabilities", {"keep", "drop"}, "keep") == "drop";
  config.core_dumps = map.boolean("core_dumps", false);
  map.done();
  return config;
}

void forbid_new_privileges() { prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); }

Result<void> Privileges::find_user() {
  std::array<char, 16384> text{};
  passwd entry{};
  passwd* found = nullptr;
  getpwnam_r(config_.user.c_str(), &entry, text.data(), text.size(), &found);
  if (found == nullptr)
    return fail(Errc::invalid_argument,
                fmt::format("security.user: there is no user '{}' on this machine", config_.user));
  uid_ = entry.pw_uid;
  gid_ = entry.pw_gid;
  int count = 64;
  groups_.resize(static_cast<std::size_t>(count));
  if (getgrouplist(config_.user.c_str(), gid_, groups_.data(), &count) < 0) {
    groups_.resize(static_cast<std::size_t>(count));
    getgrouplist(config_.user.c_str(), gid_, groups_.data(), &count);
  }
  groups_.resize(static_cast<std::size_t>(count));
  return {};
}

Result<void> Privileges::begin(const std::string& data_dir, bool low_port) {
  if (config_.user.empty()) {
    if (geteuid() == 0 && !config_.drop_capabilities)
      obs::log(obs::Level::warn, "running as root: nothing here needs that; `security: { user: NAME }` gives it up");
    return config_.drop_capabilities ? drop_capabilities(low_port) : Result<void>();
  }
  if (auto found = find_user(); !found) return found;
  if (geteuid() == uid_) return config_.drop_capabilities ? drop_capabilities(low_port) : Result<void>();
  if (geteuid() != 0) {
    return fail(
        Errc::invalid_argument,
        fmt::format("security.user: only root can become '{}'; start as that user, or leave it out", config_.user));
  }
  if (auto made = make_for(data_dir, uid_, gid_); !made) return made;
  if (setgroups(groups_.size(), groups_.data()) != 0) return failed("groups cannot be set");
  changing_ = true;
  set_effective(uid_, gid_);
  return {};
}

// The C library changes every thread; what a thread may do follows from its effective user.
void Privileges::set_effective(uid_t uid, gid_t gid) {
  if (!changing_) return;
  // The group first on the way down, the user first on the way up. Going on with the wrong one is worse than ending.
  bool done = uid == 0 ? seteuid(uid) == 0 && setegid(gid) == 0 : setegid(gid) == 0 && seteuid(uid) == 0;
  if (!done) std::abort();
}

Result<void> Privileges::give(const std::string& path) const {
  if (changing_ && ::lchown(path.c_str(), uid_, gid_) != 0)
    return failed(fmt::format("{} cannot be given to '{}'", path, config_.user));
  return {};
}

Result<void> Privileges::settle() {
  if (changing_) {
    set_effective(0, 0);
    changing_ = false;
    // From root to another user in all three identities: the kernel clears every capability with it.
    if (setresgid(gid_, gid_, gid_) != 0 || setresuid(uid_, uid_, uid_) != 0)
      return failed("the user cannot be changed");
    if (setuid(0) == 0) return fail(Errc::internal, "security: root's rights came back after they were given up");
  }
  if (!config_.core_dumps) hide_memory();
  if (config_.seccomp == SystemCalls::Mode::off) return {};
  return SystemCalls::restrict(config_.seccomp, config_.upgrade);
}

}  // namespace penstock::app
