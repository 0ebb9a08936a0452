// The server of one loop: HTTP/1 and HTTP/2, which a connection chooses as it begins (ALPN, or the client's preface).
#pragma once

#include <memory>
#include <unordered_set>

#include "http/burden.h"
#include "http/connection.h"
#include "http/exchange.h"
#include "net/network.h"
#include "net/stream.h"
#include "net/tls.h"
#include "rt/await.h"
#include "wire/http1.h"

namespace penstock::http {

struct ServerLimits {
  wire::Http1Limits message;
  base::Duration head_timeout = std::chrono::seconds(15);    // from the first byte of a request to the end of its head
  base::Duration body_timeout = std::chrono::seconds(60);    // between two pieces of a body
  base::Duration idle_timeout = std::chrono::seconds(75);    // between two requests on one connection
  base::Duration write_timeout = std::chrono::seconds(60);   // a client that takes no bytes for this long is cut off
  base::Duration refusal_timeout = std::chrono::seconds(5);  // the same for an answer whose status is 400 or more
  base::Duration spare_timeout = std::chrono::seconds(2);    // all of a connection beyond the limit, to its last byte
  base::Duration proxy_timeout = std::chrono::seconds(5);    // for the PROXY header, where one is expected
  std::uint32_t h2_streams_max = 100;                        // of an HTTP/2 connection, open at a time
  // Bytes per second. All waiting for a body is at most body_timeout and its bytes at this rate; a write ends within
  // write_timeout and its bytes at this rate. 0: no such bound.
  std::uint64_t body_rate_min = 1024;
  std::uint64_t answer_rate_min = 4096;

  base::Duration write_patience(int status) const {
    return status < 400 ? write_timeout : std::min(write_timeout, refusal_timeout);
  }

  bool operator==(const ServerLimits&) const = default;
};

// How an error found before any handler ran (malformed, too large, timeout) becomes a body. `path` may be empty.
using ErrorBody = std::function<std::string(int status, std::string_view path, const std::string& detail)>;

// How the connections of one listener are treated; immutable. A reload makes a new one for connections that follow.
struct ListenerOptions {
  std::shared_ptr<net::TlsContext> tls;  // null: plain. HTTP/2 for whoever agrees on it in the handshake
  bool h2c = false;                      // plain, too: HTTP/2 for whoever begins with its preface
  bool proxy_protocol = false;           // a PROXY header comes first, or the connection is closed
  // Whose word about their clients counts: X-Forwarded-For and its kin, and the PROXY header. Null: nobody's fields,
  // and everybody's PROXY header.
  std::shared_ptr<const std::vector<net::Network>> trusted_proxies;
  bool trusts(const net::Endpoint& proxy) const { return trusted_proxies && net::contains(*trusted_proxies, proxy); }
  // Set once when the listener is removed: its connections end with the answer under way. Null: it never is.
  std::shared_ptr<const std::atomic<bool>> removed;
};

// Told when a client is cut off because it did too much of what makes no sense. `what` is one of a few fixed texts.
using AbuseHook = std::function<void(std::string_view what, const Peer& peer)>;

class Server {
 public:
  // `burden` is shared by the servers of a process; null: one of its own, as by default.
  Server(rt::Loop& loop, Handler handler, ErrorBody error_body, ServerLimits limits,
         std::shared_ptr<Burden> burden = nullptr);
  ~Server();

  // Takes a connected socket, or closes it at once where there is no place for it. On the loop. `listener` null: as by
  // default.
  void accept(int fd, const net::Endpoint& peer, std::shared_ptr<const ListenerOptions> listener = nullptr);
  // Before the first connection.
  void on_abuse(AbuseHook hook) { on_abuse_ = std::move(hook); }
  std::size_t connections() const { return clients_.size(); }
  // For requests and connections that follow. On the loop.
  void set_limits(const ServerLimits& limits) { limits_ = limits; }
  // Closes idle connections of removed listeners after `grace`; until then the next answer tells the client.
  void leave_removed(base::Duration grace);
  // Finishes answers under way, which say that the connection closes, and closes idle connections at `idle_until` (by
  // default at once). At `deadline` what is left is given up: its handlers end, with a word to the client where the
  // protocol has one; a second later it is cut.
  rt::Task<void> drain(base::SteadyTime deadline, base::SteadyTime idle_until = {});

 private:
  friend class ServerConnection;
  friend class H2Connection;
  friend class H2Exchange;
  // A connection from its first byte to its last.
  struct Client {
    Client(rt::Loop& loop, int fd, Peer who, std::uint64_t as, std::shared_ptr<const ListenerOptions> where)
        : listener(std::move(where)), stream(loop, fd), peer(std::move(who)), counted(as) {}
    bool removed() const { return listener->removed && listener->removed->load(std::memory_order_relaxed); }
    void close_idle() { speaking ? speaking->close_idle() : stream.cut(); }
    std::shared_ptr<const ListenerOptions> listener;
    net::Stream stream;
    Peer peer;
    std::uint64_t counted;                 // as this client's connection, see net::client_of()
    std::string early;                     // read to find out what it speaks
    std::unique_ptr<Connection> speaking;  // once that is known
  };
  std::vector<Client*> open_clients() const;
  rt::Task<void> serve(int fd, Peer peer, std::uint64_t counted, std::shared_ptr<const ListenerOptions> listener);
  rt::Task<bool> open(Client& client);
  rt::Task<Result<bool>> begins_with_preface(Client& client);

  rt::Loop& loop_;
  Handler handler_;
  ErrorBody error_body_;
  ServerLimits limits_;
  std::shared_ptr<Burden> burden_;
  rt::TaskScope scope_;
  AbuseHook on_abuse_;
  std::unordered_set<Client*> clients_;
  rt::Timer leave_timer_;
  bool draining_ = false;
  bool idle_over_ = false;  // while draining: an idle connection closes at once
};

}  // namespace penstock::http
