// The HTTP/1.1 server of one loop.
#pragma once

#include <memory>
#include <unordered_set>

#include "http/burden.h"
#include "http/exchange.h"
#include "net/tls.h"
#include "rt/await.h"
#include "wire/http1.h"

namespace penstock::http {

struct ServerLimits {
  wire::Http1Limits message;
  base::Duration head_timeout = std::chrono::seconds(15);   // from the first byte of a request to the end of its head
  base::Duration body_timeout = std::chrono::seconds(60);   // between two pieces of a body
  base::Duration idle_timeout = std::chrono::seconds(75);   // between two requests on one connection
  base::Duration write_timeout = std::chrono::seconds(60);  // a client that takes no bytes for this long is cut off
  // Bytes per second. All waiting for a body is at most body_timeout and its bytes at this rate; a write ends within
  // write_timeout and its bytes at this rate. 0: no such bound.
  std::uint64_t body_rate_min = 1024;
  std::uint64_t answer_rate_min = 4096;

  bool operator==(const ServerLimits&) const = default;
};

// How an error found before any handler ran (malformed, too large, timeout) becomes a body. `path` may be empty.
using ErrorBody = std::function<std::string(int status, std::string_view path, const std::string& detail)>;

// How the connections of one listener are treated; immutable. A reload makes a new one for connections that follow.
struct ListenerOptions {
  std::shared_ptr<net::TlsContext> tls;  // null: plain
};

class ServerConnection;

class Server {
 public:
  // `burden` is shared by the servers of a process; null: one of its own, as by default.
  Server(rt::Loop& loop, Handler handler, ErrorBody error_body, ServerLimits limits,
         std::shared_ptr<Burden> burden = nullptr);
  ~Server();

  // Takes a connected socket, or closes it at once where there is no place for it. On the loop. `listener` null: as by
  // default.
  void accept(int fd, const net::Endpoint& peer, std::shared_ptr<const ListenerOptions> listener = nullptr);
  std::size_t connections() const { return connections_.size(); }
  // Finishes answers under way and closes idle connections; whatever is left at `deadline` is cut.
  rt::Task<void> drain(base::SteadyTime deadline);

 private:
  friend class ServerConnection;
  rt::Task<void> serve(int fd, Peer peer, std::shared_ptr<const ListenerOptions> listener);

  rt::Loop& loop_;
  Handler handler_;
  ErrorBody error_body_;
  ServerLimits limits_;
  std::shared_ptr<Burden> burden_;
  rt::TaskScope scope_;
  std::unordered_set<ServerConnection*> connections_;
  bool draining_ = false;
};

}  // namespace penstock::http
