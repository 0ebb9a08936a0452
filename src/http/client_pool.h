// Origins and the connections kept to them, per loop.
#pragma once

#include <memory>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "net/address.h"
#include "net/stream.h"
#include "net/tls.h"

namespace penstock::http {

// Whom to call. Shared by every loop; immutable. The object's address is the pool's key, so that a configuration that
// keeps its origins keeps its connections.
struct Origin {
  net::Url url;
  std::shared_ptr<net::TlsContext> tls;  // for https
  base::Duration connect_timeout = std::chrono::seconds(5);
  std::size_t idle_connections_max = 256;  // kept per loop; more are closed after use
};

// The kept connections of one loop.
class ClientPool {
 public:
  explicit ClientPool(rt::Loop& loop);
  ~ClientPool();
  rt::Loop& loop() { return loop_; }
  // Closes the kept connections of origins nobody else holds any more.
  void prune();
  void close_all();
  std::size_t idle() const;

 private:
  friend class ClientCall;
  // Null when none is kept.
  std::unique_ptr<net::Stream> take(const Origin& origin);
  void keep(const std::shared_ptr<const Origin>& origin, std::unique_ptr<net::Stream> stream);
  void discard(const net::Stream* stream);

  struct Kept {
    std::shared_ptr<const Origin> origin;
    std::vector<std::unique_ptr<net::Stream>> idle;
  };
  rt::Loop& loop_;
  std::unordered_map<const Origin*, Kept> kept_;
};

}  // namespace penstock::http
