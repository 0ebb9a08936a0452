#include "store/response_store.h"

namespace penstock::store {
namespace {

// What waits to be done or read: a burst, and no more memory than a few large conversations.
constexpr std::size_t kQueueMax = 1024;
constexpr std::size_t kWaitingBytesMax = 128U << 20;
// Bounds are met again at the latest after so many more responses, or after this time.
constexpr std::int64_t kTrimAfter = 256;
constexpr auto kTrimEvery = std::chrono::minutes(1);
constexpr auto kComplainEvery = std::chrono::seconds(10);

}  // namespace

ResponseStore::ResponseStore(State state, const ResponseLimits& limits, Complain complain, const base::Clock& clock)
    : state_(std::move(state)),
      complain_(std::move(complain)),
      clock_(clock),
      keep_(limits.keep.count()),
      count_max_(limits.count),
      bytes_max_(limits.bytes),
      pool_("responses", 1, kQueueMax) {}

void ResponseStore::set_limits(const ResponseLimits& limits) {
  keep_.store(limits.keep.count(), std::memory_order_relaxed);
  count_max_.store(limits.count, std::memory_order_relaxed);
  bytes_max_.store(limits.bytes, std::memory_order_relaxed);
}

base::WallMicros ResponseStore::unused_since() const {
  base::Duration keep(keep_.load(std::memory_order_relaxed));
  return clock_.wall() - std::chrono::duration_cast<std::chrono::microseconds>(keep).count();
}

Result<void> ResponseStore::add(std::size_t bytes, Make make) {
  Result<void> taken;
  if (bytes > kResponseBytesMax) {
    taken = fail(Errc::out_of_range, fmt::format("a response of {} bytes is not kept", bytes));
  } else if (taken = reserve(bytes); taken) {
    taken = pool_.submit([this, bytes, work = std::move(make)]() mutable {
      write(work);
      release(bytes);
    });
    if (!taken) release(bytes);
  }
  if (!taken) lost_.fetch_add(1, std::memory_order_relaxed);
  return taken;
}

Result<void> ResponseStore::reserve(std::size_t bytes) {
  if (waiting_bytes_.fetch_add(bytes, std::memory_order_relaxed) + bytes <= kWaitingBytesMax) return {};
  release(bytes);
  return fail(Errc::backpressure, "too many responses wait to be kept or read");
}

void ResponseStore::write(Make& make) {
  auto made = make();
  Result<void> kept = made ? state_.add_response(*made, clock_.wall()) : std::unexpected(made.error());
  if (!kept) {
    lost_.fetch_add(1, std::memory_order_relaxed);
    tell(kept.error());
    return;
  }
  ++added_;
  trim();
}

void ResponseStore::trim() {
  base::SteadyTime now = clock_.steady();
  std::int64_t count = count_max_.load(std::memory_order_relaxed);
  // A small table is cheap to look at, and a bound of ten should not be met at 256.
  bool due = added_ >= std::min(kTrimAfter, count / 8 + 1) || now - trimmed_at_ >= kTrimEvery;
  if (!due) return;
  added_ = 0;
  trimmed_at_ = now;
  auto bytes = static_cast<std::int64_t>(bytes_max_.load(std::memory_order_relaxed));
  if (auto done = state_.trim_responses({unused_since(), count, bytes}); !done) tell(done.error());
}

void ResponseStore::tell(const Error& error) {
  base::SteadyTime now = clock_.steady();
  if (complained_at_ != base::SteadyTime{} && now - complained_at_ < kComplainEvery) return;
  complained_at_ = now;
  if (complain_) complain_(error);
}

}  // namespace penstock::store
