#include "base/process.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <fstream>
#include <limits>
#include <optional>
#include <sstream>
#include <string>
#include <string_view>

namespace penstock::base {
namespace {

constexpr std::uint64_t kUnlimited = std::numeric_limits<std::uint64_t>::max();

std::optional<std::uint64_t> read_number(const std::string& path) {
  std::ifstream file(path);
  std::uint64_t number = 0;
  if (file >> number) return number;
  return std::nullopt;  // also for the word "max"
}

std::uint64_t machine_memory() {
  std::ifstream file("/proc/meminfo");
  std::string name;
  std::uint64_t kilobytes = 0;
  if (file >> name >> kilobytes && name == "MemTotal:") return kilobytes * 1024;
  return kUnlimited;
}

// A limit holds for all groups below it.
std::uint64_t least_up_to_root(const std::string& mount, std::string group, const std::string& file) {
  std::uint64_t least = kUnlimited;
  while (true) {
    least = std::min(least, read_number(mount + group + "/" + file).value_or(kUnlimited));
    if (group.empty() || group == "/") return least;
    group.erase(group.rfind('/'));
  }
}

// Lines of /proc/self/cgroup: "0::/group" (v2) or "4:memory:/group" (v1).
std::uint64_t group_memory() {
  std::ifstream file("/proc/self/cgroup");
  std::uint64_t least = kUnlimited;
  for (std::string line; std::getline(file, line);) {
    std::size_t first = line.find(':');
    std::size_t second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    std::string controllers = line.substr(first + 1, second - first - 1);
    std::string group = line.substr(second + 1);
    if (controllers.empty()) least = std::min(least, least_up_to_root("/sys/fs/cgroup", group, "memory.max"));
    if (controllers == "memory")
      least = std::min(least, least_up_to_root("/sys/fs/cgroup/memory", group, "memory.limit_in_bytes"));
  }
  return least;
}

}  // namespace

std::uint64_t resident_bytes() {
  static const int fd = ::open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
  static const auto page_bytes = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  std::array<char, 128> text{};
  ssize_t count = fd < 0 ? -1 : ::pread(fd, text.data(), text.size(), 0);
  if (count <= 0) return 0;
  // "total resident shared ...", in pages.
  std::string_view line(text.data(), static_cast<std::size_t>(count));
  line.remove_prefix(std::min(line.size(), line.find(' ') + 1));
  std::uint64_t pages = 0;
  std::from_chars(line.data(), line.data() + line.size(), pages);
  return pages * page_bytes;
}

std::uint64_t memory_available_bytes() { return std::min(machine_memory(), group_memory()); }

std::uint64_t raise_descriptor_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return 1024;
  rlimit raised{limit.rlim_max, limit.rlim_max};
  if (::setrlimit(RLIMIT_NOFILE, &raised) == 0) limit = raised;
  return limit.rlim_cur;
}

}  // namespace penstock::base
