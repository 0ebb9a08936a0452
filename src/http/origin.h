// Whom to call, and what is known of it.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "http/origin_health.h"
#include "net/address.h"
#include "net/tls.h"

namespace penstock::http {

// Bounds of the connections to one origin, per loop.
struct ConnectionLimits {
  std::size_t max = 20'000;                        // open at the same time, kept ones included
  std::size_t streams = 100;                       // calls on one of them (HTTP/2), unless the upstream wants fewer
  std::size_t waiting = 1024;                      // calls that wait for one of them; more are refused
  base::Duration idle = std::chrono::seconds(60);  // kept without use; below the 65 s or more of common servers
  base::Duration age = std::chrono::hours(1);      // then a connection is not kept again: names may have moved
  std::uint32_t requests = 10'000;                 // the same by use
  bool operator==(const ConnectionLimits&) const = default;
};

// What to speak with an upstream: HTTP/2 where it agrees to it during the TLS handshake (ALPN), never, or always, which
// is the one way without TLS.
enum class Http2Use { automatic, off, prior_knowledge };

// One loop's figures of one origin: written by that loop, read by anybody.
struct PoolCounters {
  std::atomic<std::uint64_t> connects{0};
  std::atomic<std::uint64_t> connect_failures{0};
  std::atomic<std::uint64_t> reused{0};
  std::atomic<std::uint64_t> waits{0};     // calls that had to wait for a connection
  std::atomic<std::uint64_t> refusals{0};  // of these, refused or not served in time
  std::atomic<std::uint64_t> open{0};
  std::atomic<std::uint64_t> idle{0};
  // Of HTTP/2 alone:
  std::atomic<std::uint64_t> shared{0};       // connections, also counted in `open`
  std::atomic<std::uint64_t> shared_idle{0};  // of these, without a stream
  std::atomic<std::uint64_t> streams{0};      // calls on them
  std::atomic<std::uint64_t> resets{0};       // streams the other side ended before their time
  std::atomic<std::uint64_t> goaways{0};      // connections the other side said goodbye on
};
struct PoolFigures {
  std::uint64_t connects = 0;
  std::uint64_t connect_failures = 0;
  std::uint64_t reused = 0;
  std::uint64_t waits = 0;
  std::uint64_t refusals = 0;
  std::uint64_t open = 0;
  std::uint64_t idle = 0;
  std::uint64_t shared = 0;
  std::uint64_t streams = 0;
  std::uint64_t resets = 0;
  std::uint64_t goaways = 0;
};

// What changes about an origin. Shared by every loop.
class OriginState {
 public:
  OriginState();
  ~OriginState();
  OriginState(const OriginState&) = delete;
  OriginState& operator=(const OriginState&) = delete;

  // Small, and no other living origin's: pools find their part of it by this.
  std::size_t index() const { return index_; }
  OriginHealth health;

  void add_pool(std::shared_ptr<const PoolCounters> counters);
  PoolFigures figures() const;
  void add_figures(PoolFigures& sum) const;

 private:
  std::size_t index_;
  mutable std::mutex mutex_;
  std::vector<std::shared_ptr<const PoolCounters>> pools_;
};

// Shared by every loop; immutable but for `state`. A pool keeps connections by the object, so that a configuration that
// keeps its origins keeps its connections.
struct Origin {
  std::string name;  // for metrics and the log; empty when nobody asks for them
  net::Url url;
  std::shared_ptr<net::TlsContext> tls;  // for https
  std::vector<std::string> files;        // certificates and authorities that `tls` was made of
  std::string tls_name;                  // to verify and to send; empty: the URL's host
  Http2Use http2 = Http2Use::automatic;
  // The same over HTTP/1.1 alone, for calls that change the protocol: a connection of HTTP/2 carries others' calls too.
  // Null: this one does.
  std::shared_ptr<const Origin> for_upgrades;
  base::Duration connect_timeout = std::chrono::seconds(5);  // name, TCP and TLS together; also the wait for a place
  ConnectionLimits connections;
  OutlierPolicy outlier;
  std::optional<HealthCheck> check;
  std::unique_ptr<OriginState> state = std::make_unique<OriginState>();
};

// Of all connections to it, those for upgrades among them.
PoolFigures figures_of(const Origin& origin);

// `origin`, or the one that was given earlier with the same `identity` when it is still in use somewhere: this is how
// connections and health outlive a reload. `identity` says everything that makes origins different. Any thread.
std::shared_ptr<const Origin> share_origin(const std::string& identity, Origin origin);

}  // namespace penstock::http
