// Accepting from a listening socket on one loop.
#pragma once

#include <functional>
#include <memory>

#include "base/result.h"
#include "net/listen_socket.h"
#include "rt/loop.h"

namespace penstock::net {

class Acceptor : private rt::Listener {
 public:
  // Called on the loop with each connected, non-blocking socket; takes ownership of it. A client of a local socket has
  // no endpoint (length 0).
  using OnAccept = std::function<void(int fd, const Endpoint& peer)>;

  // On the loop, or before it runs. Connections that wait already are taken with the loop's next turn.
  Acceptor(rt::Loop& loop, ListenSocket socket, OnAccept on_accept);
  // ListenSocket::open() and that.
  static Result<std::unique_ptr<Acceptor>> listen(rt::Loop& loop, const Endpoint& endpoint, OnAccept on_accept);
  ~Acceptor() override;

  const Endpoint& endpoint() const { return socket_.endpoint(); }
  ListenSocket& socket() { return socket_; }
  // No connection is accepted after this. Those the kernel took for us are accepted first: closing would reset them.
  void close();
  // The same for a socket that another process goes on with: what waits in the kernel is left to it.
  void hand_over();

 private:
  void on_ready(bool readable, bool writable, bool hang_up) override;
  void accept(int at_most);
  void stop();

  rt::Loop& loop_;
  ListenSocket socket_;
  OnAccept on_accept_;
  rt::Timer retry_;
};

}  // namespace penstock::net
