#include "http/server.h"

#include <unistd.h>

#include "http/server_connection.h"

namespace penstock::http {

Server::Server(rt::Loop& loop, Handler handler, ErrorBody error_body, ServerLimits limits)
    : loop_(loop),
      handler_(std::move(handler)),
      error_body_(std::move(error_body)),
      limits_(limits),
      scope_(loop),
      leave_timer_(loop) {}

Server::~Server() = default;

void Server::accept(int fd, const net::Endpoint& peer, std::shared_ptr<const ListenerOptions> listener) {
  if (draining_ || scope_.running() >= limits_.connections_max) {
    ::close(fd);
    return;
  }
  static const auto kDefault = std::make_shared<const ListenerOptions>();
  scope_.spawn(serve(fd, Peer{peer, nullptr, {}}, listener ? std::move(listener) : kDefault));
}

rt::Task<void> Server::serve(int fd, Peer peer, std::shared_ptr<const ListenerOptions> listener) {
  ServerConnection connection(*this, fd, std::move(peer), std::move(listener));
  connections_.insert(&connection);
  co_await connection.run();
  connections_.erase(&connection);
}

void Server::leave_removed(base::Duration grace) {
  leave_timer_.arm_in(grace, [this] {
    for (ServerConnection* connection : open_connections()) {
      if (connection->idle() && connection->leaving()) connection->cut();
    }
  });
}

std::vector<ServerConnection*> Server::open_connections() const { return {connections_.begin(), connections_.end()}; }

rt::Task<void> Server::drain(base::SteadyTime deadline, base::SteadyTime idle_until) {
  // The last words of what is given up.
  constexpr auto kLastWords = std::chrono::seconds(1);
  draining_ = true;
  auto close_idle = [this] {
    idle_over_ = true;
    for (ServerConnection* connection : open_connections()) {
      if (connection->idle()) connection->cut();
    }
  };
  rt::Timer idle_timer(loop_);
  if (idle_until <= loop_.now()) {
    close_idle();
  } else {
    idle_timer.arm_at(idle_until, close_idle);
  }
  rt::Timer give_up_timer(loop_);
  give_up_timer.arm_at(deadline, [this] {
    for (ServerConnection* connection : open_connections()) connection->give_up();
  });
  rt::Timer cut_timer(loop_);
  cut_timer.arm_at(deadline + kLastWords, [this] {
    for (ServerConnection* connection : open_connections()) connection->cut();
  });
  co_await scope_.idle();
}

}  // namespace penstock::http
