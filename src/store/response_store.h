// The responses that callers may come back to: kept in the state file by a thread of its own, so that no request waits
// for the disk on its loop.
#pragma once

#include <atomic>
#include <functional>

#include "rt/await.h"
#include "rt/pool.h"
#include "store/state.h"

namespace penstock::store {

struct ResponseLimits {
  base::Duration keep = std::chrono::hours(30 * 24);  // since the last use
  std::int64_t count = 10'000;                        // 0: none is kept
  std::uint64_t bytes = 1ULL << 30;                   // of all together
  bool operator==(const ResponseLimits&) const = default;
};

// Any thread, but for the State, which only the thread of its own uses. What is asked of it is done in the order of
// asking: whoever saw a response finds it afterwards.
class ResponseStore {
 public:
  // 32 MiB: more is not kept of one call.
  static constexpr std::size_t kResponseBytesMax = 32U << 20;

  // `complain` is called on the store's thread for responses that could not be written, at most once in 10 s.
  using Complain = std::function<void(const Error&)>;
  ResponseStore(State state, const ResponseLimits& limits, Complain complain,
                const base::Clock& clock = base::system_clock());

  void set_limits(const ResponseLimits& limits);
  bool enabled() const { return count_max_.load(std::memory_order_relaxed) > 0; }

  // Makes the response on the store's thread (`bytes`: what `make` holds meanwhile) and keeps it. Errors: backpressure
  // when too much waits, out_of_range. One that cannot be written is complained of and counted.
  using Make = std::move_only_function<Result<StoredResponse>()>;
  Result<void> add(std::size_t bytes, Make make);

  // co_await ask<T>(loop, [](State& state) -> Result<T> { ... }): what the work returns, or backpressure. `bytes`: what
  // the work holds until it is done.
  template <class T>
  rt::Task<Result<T>> ask(rt::Loop& loop, std::function<Result<T>(State&)> work, std::size_t bytes = 0);

  // Before this a response was used too long ago, and counts as gone. Wall-clock time.
  base::WallMicros unused_since() const;
  // Work that waits for the disk, and responses that could not be kept so far.
  std::size_t waiting() const { return pool_.queued(); }
  std::uint64_t lost() const { return lost_.load(std::memory_order_relaxed); }

 private:
  // Of what may wait: backpressure when there is no room.
  Result<void> reserve(std::size_t bytes);
  void release(std::size_t bytes) { waiting_bytes_.fetch_sub(bytes, std::memory_order_relaxed); }
  void write(Make& make);
  void trim();
  void tell(const Error& error);

  State state_;  // the pool's one thread alone, with what follows
  std::int64_t added_ = 0;
  base::SteadyTime trimmed_at_{};
  base::SteadyTime complained_at_{};
  const Complain complain_;
  const base::Clock& clock_;
  std::atomic<base::Duration::rep> keep_;
  std::atomic<std::int64_t> count_max_;
  std::atomic<std::uint64_t> bytes_max_;
  std::atomic<std::size_t> waiting_bytes_{0};
  std::atomic<std::uint64_t> lost_{0};
  rt::Pool pool_;  // ends first
};

template <class T>
rt::Task<Result<T>> ResponseStore::ask(rt::Loop& loop, std::function<Result<T>(State&)> work, std::size_t bytes) {
  if (auto taken = reserve(bytes); !taken) co_return std::unexpected(taken.error());
  auto start = [&](std::function<void(Result<T>)> done) {
    auto counted = [this, bytes, kept = std::move(work)] {
      auto result = kept(state_);
      release(bytes);
      return result;
    };
    auto asked = pool_.run(loop, std::move(counted), done);
    if (asked) return;
    release(bytes);
    done(std::unexpected(asked.error()));
  };
  rt::Callback<Result<T>> answer(loop, start);
  co_return co_await answer;
}

}  // namespace penstock::store
