#include "net/acceptor.h"

#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>

namespace penstock::net {
namespace {

// When descriptors ran out, accepting again at once would spin: connections wait in the kernel's queue meanwhile.
constexpr auto kRetryAfterExhaustion = std::chrono::milliseconds(50);

// Accepted before the connections that are there get their turn.
constexpr int kAcceptsPerTurn = 64;

}  // namespace

Result<std::unique_ptr<Acceptor>> Acceptor::listen(rt::Loop& loop, const Endpoint& endpoint, OnAccept on_accept) {
  auto socket = ListenSocket::open(endpoint);
  if (!socket) return std::unexpected(socket.error());
  return std::make_unique<Acceptor>(loop, std::move(*socket), std::move(on_accept));
}

Acceptor::Acceptor(rt::Loop& loop, ListenSocket socket, OnAccept on_accept)
    : loop_(loop), socket_(std::move(socket)), on_accept_(std::move(on_accept)), retry_(loop) {
  loop_.add(socket_.fd(), this);
}

Acceptor::~Acceptor() { stop(); }

void Acceptor::close() {
  accept(std::numeric_limits<int>::max());
  stop();
}

void Acceptor::hand_over() {
  socket_.leave_file();
  stop();
}

void Acceptor::stop() {
  if (socket_.fd() < 0) return;
  retry_.cancel();
  loop_.remove(socket_.fd(), this);
  socket_.close();
}

void Acceptor::on_ready(bool readable, bool, bool) {
  if (readable) accept(kAcceptsPerTurn);
}

void Acceptor::accept(int at_most) {
  for (int taken = 0; socket_.fd() >= 0; ++taken) {
    if (taken == at_most) {
      retry_.arm_at(loop_.now() + base::Duration(1), [this] { accept(kAcceptsPerTurn); });
      return;
    }
    Endpoint peer;
    peer.length = sizeof peer.storage;
    int client =
        ::accept4(socket_.fd(), reinterpret_cast<sockaddr*>(&peer.storage), &peer.length, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (client >= 0) {
      if (peer.is_local_socket()) peer.length = 0;
      on_accept_(client, peer);
      continue;
    }
    if (errno == EINTR || errno == ECONNABORTED) continue;
    if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
      retry_.arm_in(kRetryAfterExhaustion, [this] { accept(kAcceptsPerTurn); });
    }
    return;
  }
}

}  // namespace penstock::net
