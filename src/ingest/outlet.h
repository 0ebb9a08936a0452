// Between a pipeline and one of its sinks: the queue, the retries and what is under way.
#pragma once

#include <atomic>
#include <deque>
#include <memory>
#include <mutex>
#include <string>

#include "base/backoff.h"
#include "ingest/contracts.h"

namespace penstock::ingest {

struct OutletStatus {
  std::string kind;
  Status status;  // the sink's, with what was lost here added to `dropped`
  std::uint64_t waiting = 0;
  std::uint64_t retries = 0;
};

// Lives on the pipeline's loop; status() is for any thread. Samples leave in the order they came. While the peer cannot
// be reached up to kWaitingMax samples wait; beyond that the oldest is dropped and counted.
class Outlet : public std::enable_shared_from_this<Outlet> {
 public:
  static constexpr std::size_t kWaitingMax = 10'000;
  // What stop() waits for the sink to confirm, at most.
  static constexpr base::Duration kFlushWithin = std::chrono::seconds(2);

  Outlet(std::string kind, std::unique_ptr<Sink> sink);
  ~Outlet();

  Result<void> start(rt::Loop& loop);
  void deliver(const Sample& sample);
  // Sends what waits while the sink takes it, then stops the sink; `done` is called once, on the loop. What could not
  // be sent is abandoned.
  void stop(std::function<void()> done);
  OutletStatus status() const;
  const std::string& kind() const { return kind_; }

  // Told of every sample the peer refused for good.
  void on_refused(std::function<void(const Sample&, const std::string& why)> told) { refused_ = std::move(told); }

 private:
  void pump();
  void send_next();
  void answered(std::uint64_t number, const Sent& sent);
  void retry_later(std::uint64_t from);
  void refuse(const Batch& batch, const Sent& sent);
  void finish();

  const std::string kind_;
  const std::unique_ptr<Sink> sink_;
  rt::Loop* loop_ = nullptr;
  std::unique_ptr<rt::Timer> timer_;        // armed while nothing is sent after a failure
  std::unique_ptr<rt::Timer> flush_timer_;  // armed while stopping
  base::Backoff backoff_;
  std::function<void(const Sample&, const std::string&)> refused_;
  std::deque<Sample> waiting_;
  std::deque<std::pair<std::uint64_t, Batch>> under_way_;  // oldest first; numbered
  std::uint64_t next_number_ = 0;
  bool pumping_ = false;
  bool running_ = false;
  std::function<void()> stopped_;  // set while stopping
  std::atomic<std::uint64_t> waiting_count_{0};
  std::atomic<std::uint64_t> dropped_{0};
  std::atomic<std::uint64_t> retries_{0};
  mutable std::mutex detail_mutex_;  // guards the one below
  std::string trouble_;              // why the last batch was not confirmed; empty after one that was
};

}  // namespace penstock::ingest
