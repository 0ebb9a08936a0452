#include "net/listen_socket.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace penstock::net {
namespace {

constexpr int kBacklog = 4096;

std::string explain_bind_error(int code, const Endpoint& endpoint) {
  std::string where = endpoint.text();
  if (code == EADDRINUSE && endpoint.is_local_socket())
    return where + " is in use by another program; stop it, or choose another path";
  if (code == EADDRINUSE) {
    return fmt::format("{} is in use by another program; stop it, or choose another address (port 0 takes a free one)",
                       where);
  }
  if (code == EACCES && endpoint.is_local_socket())
    return fmt::format("no permission to make {}: its folder must be writable for this user", where);
  if (code == EACCES) return fmt::format("no permission to listen on {}; ports below 1024 need privileges", where);
  if (code == EADDRNOTAVAIL) return fmt::format("{} is not an address of this machine", where);
  if (code == ENOENT) return fmt::format("cannot make {}: its folder does not exist", where);
  return fmt::format("cannot listen on {}: {}", where, std::strerror(code));
}

const sockaddr* address_of(const Endpoint& endpoint) { return reinterpret_cast<const sockaddr*>(&endpoint.storage); }

// A file that a program left behind: a socket that refuses connections.
bool is_stale(const Endpoint& endpoint) {
  struct stat info{};
  if (::lstat(endpoint.path().c_str(), &info) != 0 || !S_ISSOCK(info.st_mode)) return false;
  int probe = ::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (probe < 0) return false;
  bool refused = ::connect(probe, address_of(endpoint), endpoint.length) != 0 && errno == ECONNREFUSED;
  ::close(probe);
  return refused;
}

int bind_and_listen(int fd, const Endpoint& endpoint) {
  if (::bind(fd, address_of(endpoint), endpoint.length) != 0) {
    if (errno != EADDRINUSE || !endpoint.is_local_socket() || !is_stale(endpoint)) return errno;
    ::unlink(endpoint.path().c_str());
    if (::bind(fd, address_of(endpoint), endpoint.length) != 0) return errno;
  }
  return ::listen(fd, kBacklog) == 0 ? 0 : errno;
}

// A client that vanished without a word is noticed: after a minute of silence the kernel asks, four times in another
// minute; what nobody acknowledges for two minutes ends the connection too. Accepted sockets inherit this.
void notice_silence(int fd) {
  auto set = [fd](int level, int option, int value) { setsockopt(fd, level, option, &value, sizeof value); };
  set(SOL_SOCKET, SO_KEEPALIVE, 1);
  set(IPPROTO_TCP, TCP_KEEPIDLE, 60);
  set(IPPROTO_TCP, TCP_KEEPINTVL, 15);
  set(IPPROTO_TCP, TCP_KEEPCNT, 4);
  set(IPPROTO_TCP, TCP_USER_TIMEOUT, 120'000);
}

}  // namespace

Result<ListenSocket> ListenSocket::open(const Endpoint& endpoint, std::optional<mode_t> mode) {
  int fd = ::socket(endpoint.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return fail(Errc::resource_exhausted, fmt::format("cannot make a socket: {}", std::strerror(errno)));
  bool local = endpoint.is_local_socket();
  int one = 1;
  if (!local) {
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    notice_silence(fd);
  }
  // The file is made with the socket's own mode, so that it is never more open than asked for.
  if (local && mode) ::fchmod(fd, *mode);
  if (int code = bind_and_listen(fd, endpoint); code != 0) {
    ::close(fd);
    return fail(Errc::failed_precondition, explain_bind_error(code, endpoint));
  }
  ListenSocket socket(fd);
  socket.take_file();
  if (mode) {
    if (auto set = socket.set_mode(*mode); !set) return std::unexpected(set.error());
  }
  return socket;
}

Result<ListenSocket> ListenSocket::adopt(int fd) {
  int listening = 0;
  int type = 0;
  socklen_t size = sizeof listening;
  socklen_t type_size = sizeof type;
  if (::getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) != 0 || listening == 0 ||
      ::getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &type_size) != 0 || type != SOCK_STREAM) {
    return fail(Errc::invalid_argument, fmt::format("descriptor {} is no listening stream socket", fd));
  }
  ::fcntl(fd, F_SETFD, FD_CLOEXEC);
  ::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) | O_NONBLOCK);
  return ListenSocket(fd);
}

ListenSocket::ListenSocket(int fd) : fd_(fd) {
  endpoint_.length = sizeof endpoint_.storage;
  getsockname(fd, reinterpret_cast<sockaddr*>(&endpoint_.storage), &endpoint_.length);
}

void ListenSocket::take_file() {
  struct stat info{};
  std::string path = endpoint_.path();
  own_file_ = !path.empty() && ::stat(path.c_str(), &info) == 0;
  if (own_file_) inode_ = info.st_ino;
}

ListenSocket::ListenSocket(ListenSocket&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)),
      endpoint_(other.endpoint_),
      own_file_(std::exchange(other.own_file_, false)),
      inode_(other.inode_) {}

ListenSocket& ListenSocket::operator=(ListenSocket&& other) noexcept {
  if (this == &other) return *this;
  close();
  fd_ = std::exchange(other.fd_, -1);
  endpoint_ = other.endpoint_;
  own_file_ = std::exchange(other.own_file_, false);
  inode_ = other.inode_;
  return *this;
}

Result<void> ListenSocket::set_mode(mode_t mode) const {
  std::string path = endpoint_.path();
  if (path.empty() || ::chmod(path.c_str(), mode) == 0) return {};
  return fail(Errc::permission_denied,
              fmt::format("the mode of {} cannot be set: {}", endpoint_.text(), std::strerror(errno)));
}

void ListenSocket::close() {
  if (fd_ < 0) return;
  struct stat info{};
  std::string path = endpoint_.path();
  if (own_file_ && ::stat(path.c_str(), &info) == 0 && info.st_ino == inode_) ::unlink(path.c_str());
  ::close(std::exchange(fd_, -1));
}

}  // namespace penstock::net
