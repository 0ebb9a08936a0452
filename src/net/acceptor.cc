#include "net/acceptor.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>

namespace penstock::net {
namespace {

constexpr int kBacklog = 4096;
// When descriptors ran out, accepting again at once would spin: connections wait in the kernel's queue meanwhile.
constexpr auto kRetryAfterExhaustion = std::chrono::milliseconds(50);

// Accepted before the connections that are there get their turn.
constexpr int kAcceptsPerTurn = 64;

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

std::string explain_bind_error(int code, const Endpoint& endpoint) {
  if (code == EADDRINUSE) {
    return fmt::format("{} is in use by another program; stop it, or choose another address (port 0 takes a free one)",
                       endpoint.text());
  }
  if (code == EACCES)
    return fmt::format("no permission to listen on {}; ports below 1024 need privileges", endpoint.text());
  if (code == EADDRNOTAVAIL) return fmt::format("{} is not an address of this machine", endpoint.text());
  return fmt::format("cannot listen on {}: {}", endpoint.text(), std::strerror(code));
}

}  // namespace

Result<std::unique_ptr<Acceptor>> Acceptor::listen(rt::Loop& loop, const Endpoint& endpoint, OnAccept on_accept) {
  int fd = ::socket(endpoint.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return fail(Errc::resource_exhausted, fmt::format("cannot make a socket: {}", std::strerror(errno)));
  int one = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  notice_silence(fd);
  if (::bind(fd, reinterpret_cast<const sockaddr*>(&endpoint.storage), endpoint.length) != 0 ||
      ::listen(fd, kBacklog) != 0) {
    auto error = fail(Errc::failed_precondition, explain_bind_error(errno, endpoint));
    ::close(fd);
    return error;
  }
  Endpoint bound;
  bound.length = sizeof bound.storage;
  getsockname(fd, reinterpret_cast<sockaddr*>(&bound.storage), &bound.length);
  return std::unique_ptr<Acceptor>(new Acceptor(loop, fd, bound, std::move(on_accept)));
}

Acceptor::Acceptor(rt::Loop& loop, int fd, Endpoint endpoint, OnAccept on_accept)
    : loop_(loop), fd_(fd), endpoint_(endpoint), on_accept_(std::move(on_accept)), retry_(loop) {
  loop_.add(fd_, this);
}

Acceptor::~Acceptor() { close(); }

void Acceptor::close() {
  if (fd_ < 0) return;
  retry_.cancel();
  loop_.remove(fd_, this);
  ::close(fd_);
  fd_ = -1;
}

void Acceptor::on_ready(bool readable, bool, bool) {
  if (readable) accept_all();
}

void Acceptor::accept_all() {
  for (int taken = 0; fd_ >= 0; ++taken) {
    if (taken == kAcceptsPerTurn) {
      retry_.arm_at(loop_.now() + base::Duration(1), [this] { accept_all(); });
      return;
    }
    Endpoint peer;
    peer.length = sizeof peer.storage;
    int client = ::accept4(fd_, reinterpret_cast<sockaddr*>(&peer.storage), &peer.length, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (client >= 0) {
      on_accept_(client, peer);
      continue;
    }
    if (errno == EINTR || errno == ECONNABORTED) continue;
    if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
      retry_.arm_in(kRetryAfterExhaustion, [this] { accept_all(); });
    }
    return;
  }
}

}  // namespace penstock::net
