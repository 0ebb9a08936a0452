#include "mqtt/client_id.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <mutex>

#include "base/secret.h"

namespace penstock::mqtt {
namespace {

constexpr std::size_t kTokenBytes = 9;
constexpr std::size_t kTokenCharacters = 12;  // of kTokenBytes

std::string read_token(const std::string& path) {
  std::string token(kTokenCharacters, '\0');
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0) return {};
  const bool whole = ::read(fd, token.data(), token.size()) == static_cast<ssize_t>(token.size());
  ::close(fd);
  return whole ? token : std::string();
}

// Complete before it has its name.
bool make_token(const std::string& path) {
  const std::string fresh = path + "." + base::random_token(6);
  const int fd = ::open(fresh.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0) return false;
  const std::string token = base::random_token(kTokenBytes);
  bool made = ::write(fd, token.data(), token.size()) == static_cast<ssize_t>(token.size()) && ::fsync(fd) == 0;
  made = ::close(fd) == 0 && made;
  made = made && ::rename(fresh.c_str(), path.c_str()) == 0;
  const int why = errno;
  if (!made) ::unlink(fresh.c_str());
  errno = why;
  return made;
}

}  // namespace

Result<std::string> stable_client_id(const Identity& identity) {
  static std::mutex one_at_a_time;  // else two connections would make two
  std::lock_guard lock(one_at_a_time);
  std::error_code ignored;
  std::filesystem::create_directories(identity.data_dir, ignored);
  const std::string path = identity.data_dir + "/mqtt_client_id";
  std::string token = read_token(path);
  if (token.empty() && make_token(path)) token = read_token(path);
  if (token.empty()) {
    return fail(Errc::unavailable,
                fmt::format("the file {} cannot be made or read: {}; write a `client_id`", path, std::strerror(errno)));
  }
  return fmt::format("penstock-{}-{}", token, identity.name);
}

}  // namespace penstock::mqtt
