// What all connections of a process together may take: places, places of one client, memory for what is on its way in
// and out. Each core counts on a cache line of its own and nobody takes a lock; sums over the cores are made when a
// connection begins or a large body grows, never per plain request.
#pragma once

#include <atomic>
#include <cstdint>
#include <limits>
#include <memory>
#include <vector>

#include "net/address_counts.h"

namespace penstock::http {

struct BurdenLimits {
  std::size_t connections = 20'000;
  std::size_t connections_per_client = 20'000;  // of one IPv4 address or one IPv6 /64
  std::uint64_t buffered_bytes = std::numeric_limits<std::uint64_t>::max();

  bool operator==(const BurdenLimits&) const = default;
};

class Burden {
 public:
  // Connections taken beyond the limit, for health checks: whoever asks for anything else is told that it is full.
  static constexpr std::size_t kSpareConnections = 32;
  enum class Place { regular, spare, none };
  enum class Refused { connections, client, bodies };
  static constexpr std::size_t kRefusedCount = 3;

  explicit Burden(std::size_t cores, const BurdenLimits& limits = {});

  // Any thread.
  void set_limits(const BurdenLimits& limits);
  std::size_t connections() const;
  std::uint64_t buffered_bytes() const;
  std::uint64_t buffered_bytes_max() const { return buffered_max_.load(std::memory_order_relaxed); }
  std::uint64_t refused(Refused what) const;
  // There is room for so many bytes more.
  bool has_room(std::uint64_t bytes) const { return buffered_bytes() + bytes <= buffered_bytes_max(); }

  // --- on core `core` ---
  // `client` as net::client_of() says. Every place that is not `none` is given back with leave().
  Place enter(int core, std::uint64_t client);
  void leave(int core, std::uint64_t client);
  // A connection whose real client a trusted proxy names only now; enter it as client 0 before. False when that client
  // has too many: nothing changed then.
  bool name_client(int core, std::uint64_t client);
  // Memory taken (above zero) and given back; never refused here: ask has_room() first.
  void buffer(int core, std::int64_t bytes);
  void count_refused(int core, Refused what);

 private:
  struct alignas(64) Core {
    std::atomic<std::int64_t> connections{0};
    std::atomic<std::int64_t> buffered{0};
    std::array<std::atomic<std::uint64_t>, kRefusedCount> refused{};
  };
  Core& core(int index) { return *cores_[static_cast<std::size_t>(index) % cores_.size()]; }

  std::vector<std::unique_ptr<Core>> cores_;
  net::AddressCounts clients_;
  std::atomic<std::size_t> connections_max_;
  std::atomic<std::size_t> per_client_max_;
  std::atomic<std::uint64_t> buffered_max_;
};

}  // namespace penstock::http
