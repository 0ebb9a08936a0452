#include "app/listeners.h"

#include "obs/log.h"

namespace penstock::app {
namespace {

// Connections of a removed listener that wait for their next request get this long to hear, with its answer, that they
// are closing: closing at once could cross a request on its way.
constexpr auto kIdleGrace = std::chrono::seconds(5);

}  // namespace

Result<Listeners::Change> Listeners::prepare(const std::vector<ListenConfig>& wanted) {
  Change change;
  std::vector<const Listener*> taken;
  for (const ListenConfig& listen : wanted) {
    Change::Entry entry;
    entry.address = listen.address();
    entry.mode = listen.mode;
    for (const auto& listener : running_) {
      bool free = std::find(taken.begin(), taken.end(), listener.get()) == taken.end();
      if (entry.running == nullptr && free && listener->address == entry.address) entry.running = listener.get();
    }
    taken.push_back(entry.running);
    entry.removed = entry.running != nullptr ? entry.running->removed : std::make_shared<std::atomic<bool>>(false);
    auto options = listener_options(listen, entry.removed);
    if (!options) return std::unexpected(options.error());
    entry.options = std::move(*options);
    if (entry.running == nullptr) {
      entry.socket = inherited_.claim(listen.endpoint, kDataSocket);
      if (!entry.socket) {
        auto opened = net::ListenSocket::open(listen.endpoint, listen.mode);
        if (!opened) return std::unexpected(opened.error());
        entry.socket = std::move(*opened);
      }
    }
    change.entries.push_back(std::move(entry));
  }
  return change;
}

void Listeners::apply(Change change) {
  std::vector<std::unique_ptr<Listener>> before = std::move(running_);
  running_.clear();
  cores_.thread(0).run_and_wait([&] {
    for (Change::Entry& entry : change.entries) {
      auto known =
          std::find_if(before.begin(), before.end(), [&](const auto& one) { return one.get() == entry.running; });
      if (known != before.end()) {
        running_.push_back(std::move(*known));
        before.erase(known);
      } else {
        auto made = std::make_unique<Listener>();
        made->address = std::move(entry.address);
        made->removed = std::move(entry.removed);
        Listener* listener = made.get();
        listener->options = entry.options;
        made->acceptor = std::make_unique<net::Acceptor>(
            cores_.loop(0), std::move(*entry.socket),
            [this, listener](int fd, const net::Endpoint& peer) { deal(*listener, fd, peer); });
        running_.push_back(std::move(made));
      }
      Listener& listener = *running_.back();
      listener.options = std::move(entry.options);
      if (entry.mode && entry.mode != listener.mode) {
        if (auto set = listener.acceptor->socket().set_mode(*entry.mode); !set)
          obs::log(obs::Level::warn, "a listener's mode stays as it was", {{"why", set.error().detail}});
      }
      listener.mode = entry.mode;
    }
    for (const auto& listener : before) {
      listener->acceptor->close();
      listener->removed->store(true, std::memory_order_relaxed);
    }
  });
  if (before.empty()) return;
  for (std::size_t i = 0; i < servers_.size(); ++i)
    cores_.loop(i).post([server = servers_[i]] { server->leave_removed(kIdleGrace); });
}

void Listeners::deal(Listener& listener, int fd, const net::Endpoint& peer) {
  std::size_t core = next_core_++ % servers_.size();
  http::Server* server = servers_[core];
  if (core == 0) {
    server->accept(fd, peer, listener.options);
  } else {
    cores_.loop(core).post([server, fd, peer, options = listener.options] { server->accept(fd, peer, options); });
  }
}

void Listeners::close(bool handed_over) {
  cores_.thread(0).run_and_wait([&] {
    for (const auto& listener : running_) {
      if (handed_over) {
        listener->acceptor->hand_over();
      } else {
        listener->acceptor->close();
      }
    }
  });
}

void Listeners::take_files() {
  cores_.thread(0).run_and_wait([&] {
    for (const auto& listener : running_) {
      net::ListenSocket& socket = listener->acceptor->socket();
      if (inherited_.name_of(socket.endpoint()).empty()) socket.take_file();
    }
  });
}

std::vector<net::Endpoint> Listeners::endpoints() const {
  std::vector<net::Endpoint> endpoints;
  for (const auto& listener : running_) endpoints.push_back(listener->acceptor->endpoint());
  return endpoints;
}

std::vector<HandedSocket> Listeners::sockets() const {
  std::vector<HandedSocket> sockets;
  for (const auto& listener : running_) {
    net::ListenSocket& socket = listener->acceptor->socket();
    std::string name = inherited_.name_of(socket.endpoint());
    sockets.push_back({socket.fd(), name.empty() ? std::string(kDataSocket) : name});
  }
  return sockets;
}

}  // namespace penstock::app
