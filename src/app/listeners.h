// The data listeners of the running gateway: opened, changed and closed while it serves.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "app/inherited_sockets.h"
#include "app/listen_config.h"
#include "app/upgrade.h"
#include "http/server.h"
#include "net/acceptor.h"
#include "rt/cores.h"

namespace penstock::app {

// Connections are accepted on the first core and dealt out to all in turn. Called by the main thread; the cores run.
class Listeners {
 public:
  // All three outlive it. `servers`: one per core.
  Listeners(rt::Cores& cores, std::vector<http::Server*> servers, InheritedSockets& inherited)
      : cores_(cores), servers_(std::move(servers)), inherited_(inherited) {}
  ~Listeners() = default;  // after close(), or when the cores have stopped

  // One listener that runs, or is about to.
  struct Listener {
    std::string address;  // as written
    std::shared_ptr<const http::ListenerOptions> options;
    std::shared_ptr<std::atomic<bool>> removed = std::make_shared<std::atomic<bool>>(false);
    std::unique_ptr<net::Acceptor> acceptor;
    std::optional<mode_t> mode;
  };
  // What apply() turns into reality; dropping it closes what was opened for it.
  struct Change {
    struct Entry {
      Listener* running = nullptr;              // this one stays, or...
      std::optional<net::ListenSocket> socket;  // ...this is new
      std::string address;
      std::shared_ptr<std::atomic<bool>> removed;
      std::shared_ptr<const http::ListenerOptions> options;
      std::optional<mode_t> mode;
    };
    std::vector<Entry> entries;
  };

  // Opens what is new and reads certificates; nothing that runs is touched. Errors: those of ListenSocket::open()
  // (failed_precondition) and of the files (invalid_argument).
  Result<Change> prepare(const std::vector<ListenConfig>& wanted);
  // New listeners accept, changed options hold for connections that follow, removed listeners close: their connections
  // end with the answer under way, idle ones a little later.
  void apply(Change change);
  // Accepts no more; connections go on. `handed_over`: another process has the same sockets.
  void close(bool handed_over);

  // The process that had these sockets has let go: their files are ours, but for systemd's.
  void take_files();

  std::vector<net::Endpoint> endpoints() const;
  // For a successor.
  std::vector<HandedSocket> sockets() const;

 private:
  void deal(Listener& listener, int fd, const net::Endpoint& peer);

  rt::Cores& cores_;
  std::vector<http::Server*> servers_;
  InheritedSockets& inherited_;
  std::vector<std::unique_ptr<Listener>> running_;  // in the order of the configuration; read by the main thread alone
  std::size_t next_core_ = 0;                       // the accepting core's
};

}  // namespace penstock::app
