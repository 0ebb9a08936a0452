#include "http/server.h"

#include <unistd.h>

#include "http/server_connection.h"

namespace penstock::http {

Server::Server(rt::Loop& loop, Handler handler, ErrorBody error_body, ServerLimits limits,
               std::shared_ptr<Burden> burden)
    : loop_(loop),
      handler_(std::move(handler)),
      error_body_(std::move(error_body)),
      limits_(limits),
      burden_(burden ? std::move(burden) : std::make_shared<Burden>(1)),
      scope_(loop) {}

Server::~Server() = default;

void Server::accept(int fd, const net::Endpoint& peer, std::shared_ptr<const ListenerOptions> listener) {
  Burden::Place place = draining_ ? Burden::Place::none : burden_->enter(loop_.index(), net::client_of(peer));
  if (place == Burden::Place::none) {
    ::close(fd);
    return;
  }
  static const auto kDefault = std::make_shared<const ListenerOptions>();
  scope_.spawn(serve(fd, Peer{peer, {}, place == Burden::Place::spare}, listener ? std::move(listener) : kDefault));
}

rt::Task<void> Server::serve(int fd, Peer peer, std::shared_ptr<const ListenerOptions> listener) {
  std::uint64_t client = net::client_of(peer.endpoint);
  ServerConnection connection(*this, fd, std::move(peer));
  connections_.insert(&connection);
  co_await connection.run(std::move(listener));
  connections_.erase(&connection);
  burden_->leave(loop_.index(), client);
}

rt::Task<void> Server::drain(base::SteadyTime deadline) {
  draining_ = true;
  auto close_some = [this](bool all) {
    std::vector<ServerConnection*> open(connections_.begin(), connections_.end());
    for (ServerConnection* connection : open) {
      if (all || connection->idle()) connection->cut();
    }
  };
  close_some(false);
  rt::Timer timer(loop_);
  timer.arm_at(deadline, [&] { close_some(true); });
  co_await scope_.idle();
}

}  // namespace penstock::http
