// Whether the gateway takes a call now: what it does when more is asked of it than it can serve. See docs/adr/0020.
//
// Calls are refused by class, `low` first. Two signs say when:
// - a resource is nearly used up (requests in flight, bytes held, memory): each class stops at its share of the limit;
// - a core never catches up: what it works on has waited longer than `lag` in every turn of a while. Then the number of
//   calls it takes follows the lag (a gradient rule on the least queueing time, after CoDel, RFC 8289, and DAGOR, Zhou
//   et al. 2018): down until the queue is short, up again when it is.
// What was begun is never ended by this.
#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "flow/call.h"
#include "flow/rate_bucket.h"
#include "http/burden.h"
#include "net/address_counts.h"
#include "obs/metrics.h"
#include "rt/loop.h"

namespace penstock::flow {

struct AdmissionLimits {
  std::int64_t requests = 20'000;                       // in flight
  std::uint64_t memory_bytes = 0;                       // resident; 0: no bound
  base::Duration lag = std::chrono::milliseconds(100);  // 0: no bound
  std::int64_t wrong_keys_per_minute = 60;              // from one client; 0: no bound

  bool operator==(const AdmissionLimits&) const = default;
};

enum class ShedReason : std::uint8_t { requests, buffered, memory, lag, connections };
constexpr std::size_t kShedReasons = 5;
std::string_view to_string(ShedReason reason);

// Who is taken while `arrived` calls come per round and only `room` of them can be served: the share of each class,
// highest class first.
using Shares = std::array<double, kPriorities>;
Shares share_out(const std::array<std::uint64_t, kPriorities>& arrived, double room);

class Admission {
 public:
  Admission(std::size_t cores, std::shared_ptr<http::Burden> burden, const AdmissionLimits& limits = {});

  // --- any thread ---
  void set_limits(const AdmissionLimits& limits);
  std::int64_t in_flight() const;
  // Some call was refused within the last second or so.
  bool shedding() const;
  void collect(obs::MetricWriter& writer) const;
  // Says in the log what was refused since the last line, at most once a second. On one thread.
  void report();

  // --- on the loop given, of core `loop.index()` ---
  // Of a call whose caller is known: between enter() and leave() it is in flight. One that is refused leaves at once;
  // however long its refusal takes to go out, strangers fill nothing.
  void enter(const rt::Loop& loop);
  void leave(const rt::Loop& loop);
  // Nothing when a call of this class, which has entered, is taken.
  std::optional<ShedReason> refuses(rt::Loop& loop, Priority priority, bool spare = false);
  // Counts a wrong key from this client; how long it should wait when it sent too many. Right keys are not asked.
  std::optional<base::Duration> too_many_wrong_keys(const rt::Loop& loop, std::uint64_t client);

 private:
  struct alignas(64) Core {
    // Written by the core alone, read by all.
    std::atomic<std::int64_t> in_flight{0};
    std::atomic<std::int64_t> lag_nanos{0};
    std::array<std::array<std::atomic<std::uint64_t>, kPriorities>, kShedReasons> shed{};
    std::atomic<std::uint64_t> wrong_keys{0};
    std::atomic<std::uint64_t> wrong_keys_refused{0};
    std::atomic<base::SteadyTime::rep> shed_at{0};
    // The core's own.
    base::SteadyTime looked_at{};
    bool calm = true;             // nothing is near its limit and the core catches up
    std::int64_t calm_until = 0;  // as long as no more are in flight here
    std::array<std::uint64_t, kPriorities> arrived{};
    std::uint64_t taken = 0;
    Shares shares{1, 1, 1, 1};
    Shares credit{};
  };
  struct Pressure {
    double share;  // of the limit
    ShedReason reason;
  };
  Core& core_of(const rt::Loop& loop) { return *cores_[static_cast<std::size_t>(loop.index()) % cores_.size()]; }
  void look(Core& core, rt::Loop& loop);
  void follow_lag(Core& core, base::Duration lag, base::Duration passed);
  void sample_memory(base::SteadyTime now);
  Pressure pressure() const;
  std::optional<ShedReason> decide(Core& core, Priority priority);
  void count(Core& core, ShedReason reason, Priority priority, base::SteadyTime now);
  std::array<std::array<std::uint64_t, kPriorities>, kShedReasons> sums() const;

  std::vector<std::unique_ptr<Core>> cores_;
  std::shared_ptr<http::Burden> burden_;
  std::atomic<std::int64_t> requests_max_;
  std::atomic<std::uint64_t> memory_max_;
  std::atomic<base::Duration::rep> lag_max_;
  std::atomic<std::int64_t> wrong_keys_max_;
  std::atomic<std::uint64_t> resident_{0};
  std::atomic<base::SteadyTime::rep> sample_due_{0};
  std::atomic<base::SteadyTime::rep> trim_due_{0};
  net::ClientCells wrong_cells_;
  std::array<RateBucket, net::ClientCells::kCells> wrong_keys_;
  std::array<std::array<std::uint64_t, kPriorities>, kShedReasons> reported_{};
  base::SteadyTime reported_at_{};
};

}  // namespace penstock::flow
