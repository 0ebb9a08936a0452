#include "mock/server.h"

#include <sys/types.h>

#include <csignal>
#include <cstdio>
#include <future>

#include "http/server.h"
#include "mock/front.h"
#include "net/acceptor.h"
#include "rt/cores.h"

namespace penstock::mock {
namespace {

std::string describe(int status, std::string_view, const std::string& detail) {
  return kOpenAi.error({.message = detail, .status = status});
}

http::ServerLimits limits() {
  http::ServerLimits result;
  result.message.body_bytes_max = UINT64_MAX;  // uploads are counted, not held
  return result;
}

}  // namespace

// What one loop has of the mock.
struct Server::Lane {
  Lane(rt::Loop& loop_of, Shared& shared)
      : loop(loop_of),
        front(shared),
        server(loop_of, [this](http::Exchange& exchange) { return front.handle(exchange); }, describe, limits()) {}
  rt::Loop& loop;
  Front front;
  http::Server server;
};

struct Server::State {
  explicit State(Options options) : shared(std::move(options)) {}
  Shared shared;
  std::vector<std::unique_ptr<Lane>> lanes;
  std::unique_ptr<net::Acceptor> acceptor;
  std::size_t next = 0;
  bool stopped = false;

  void take(int fd, const net::Endpoint& peer) {
    Lane& lane = *lanes[next++ % lanes.size()];
    if (lanes.size() == 1) {
      lane.server.accept(fd, peer);
      return;
    }
    lane.loop.post([&lane, fd, peer] { lane.server.accept(fd, peer); });
  }
};

Server::Server(std::unique_ptr<State> state) : state_(std::move(state)) {}
Server::~Server() = default;

Result<std::unique_ptr<Server>> Server::start(std::vector<rt::Loop*> loops, Options options) {
  if (auto valid = validate(options); !valid) return std::unexpected(valid.error());
  if (loops.empty()) return fail(Errc::invalid_argument, "the mock provider needs a loop");
  auto state = std::make_unique<State>(std::move(options));
  for (rt::Loop* loop : loops) state->lanes.push_back(std::make_unique<Lane>(*loop, state->shared));
  auto acceptor = net::Acceptor::listen(*loops.front(), state->shared.options.listen,
                                        [s = state.get()](int fd, const net::Endpoint& peer) { s->take(fd, peer); });
  if (!acceptor) return std::unexpected(acceptor.error());
  state->acceptor = std::move(*acceptor);
  return std::unique_ptr<Server>(new Server(std::move(state)));
}

const net::Endpoint& Server::endpoint() const { return state_->acceptor->endpoint(); }

void Server::stop() {
  if (std::exchange(state_->stopped, true)) return;
  std::promise<void> closed;
  state_->lanes.front()->loop.post([&] {
    state_->acceptor->close();
    closed.set_value();
  });
  closed.get_future().wait();
  // After the acceptor: a connection it posted to a lane is taken before that lane drains.
  for (auto& lane : state_->lanes) {
    std::promise<void> drained;
    lane->loop.post([&drained, l = lane.get()] {
      l->front.stop();
      rt::spawn(l->server.drain(l->loop.now() + std::chrono::seconds(1)), [&drained] { drained.set_value(); });
    });
    drained.get_future().wait();
  }
}

Result<int> run(const Options& options) {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  // Before any thread starts, so that all inherit it and sigwait() alone hears them.
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  std::signal(SIGPIPE, SIG_IGN);

  if (auto valid = validate(options); !valid) return std::unexpected(valid.error());
  rt::Cores cores(options.threads);
  std::vector<rt::Loop*> loops;
  for (std::size_t i = 0; i < cores.size(); ++i) loops.push_back(&cores.loop(i));
  auto server = Server::start(std::move(loops), options);
  if (!server) return std::unexpected(server.error());
  cores.start();
  fmt::print("penstock mock ready {}\n", (*server)->endpoint().text());
  std::fflush(stdout);
  int received = 0;
  sigwait(&signals, &received);
  (*server)->stop();
  cores.stop();
  return 0;
}

}  // namespace penstock::mock
