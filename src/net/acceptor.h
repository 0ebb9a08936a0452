// A listening TCP socket on one loop.
#pragma once

#include <functional>
#include <memory>

#include "base/result.h"
#include "net/address.h"
#include "rt/loop.h"

namespace penstock::net {

class Acceptor : private rt::Listener {
 public:
  // Called on the loop with each connected, non-blocking socket; takes ownership of it.
  using OnAccept = std::function<void(int fd, const Endpoint& peer)>;

  // Binds and listens. Port 0 takes a free one: read it back from endpoint(). Errors say who may hold the port.
  static Result<std::unique_ptr<Acceptor>> listen(rt::Loop& loop, const Endpoint& endpoint, OnAccept on_accept);
  ~Acceptor() override;

  const Endpoint& endpoint() const { return endpoint_; }
  // No connection is accepted after this; those waiting in the kernel's queue are refused by its close.
  void close();

 private:
  Acceptor(rt::Loop& loop, int fd, Endpoint endpoint, OnAccept on_accept);
  void on_ready(bool readable, bool writable, bool hang_up) override;
  void accept_all();

  rt::Loop& loop_;
  int fd_;
  Endpoint endpoint_;
  OnAccept on_accept_;
  rt::Timer retry_;
};

}  // namespace penstock::net
