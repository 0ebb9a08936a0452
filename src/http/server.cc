#include "http/server.h"

#include <unistd.h>

#include "http/server_connection.h"

namespace penstock::http {

Server::Server(rt::Loop& loop, Handler handler, ErrorBody error_body, ServerLimits limits)
    : loop_(loop), handler_(std::move(handler)), error_body_(std::move(error_body)), limits_(limits), scope_(loop) {}

Server::~Server() = default;

void Server::accept(int fd, const net::Endpoint& peer, std::shared_ptr<const ListenerOptions> listener) {
  if (draining_ || connections_.size() >= limits_.connections_max) {
    ::close(fd);
    return;
  }
  static const auto kDefault = std::make_shared<const ListenerOptions>();
  scope_.spawn(serve(fd, Peer{peer, {}}, listener ? std::move(listener) : kDefault));
}

rt::Task<void> Server::serve(int fd, Peer peer, std::shared_ptr<const ListenerOptions> listener) {
  ServerConnection connection(*this, fd, std::move(peer));
  connections_.insert(&connection);
  co_await connection.run(std::move(listener));
  connections_.erase(&connection);
}

rt::Task<void> Server::drain(base::SteadyTime deadline) {
  draining_ = true;
  auto close_some = [this](bool all) {
    std::vector<ServerConnection*> open(connections_.begin(), connections_.end());
    for (ServerConnection* connection : open) {
      all ? connection->cut() : connection->drain();
    }
  };
  close_some(false);
  rt::Timer timer(loop_);
  timer.arm_at(deadline, [&] { close_some(true); });
  co_await scope_.idle();
}

}  // namespace penstock::http
