// Between a pipeline and one of its sinks: what waits, the retries and what is under way.
#pragma once

#include <atomic>
#include <deque>
#include <memory>
#include <mutex>
#include <string>

#include "base/backoff.h"
#include "ingest/outlet_queue.h"

namespace penstock::ingest {

struct OutletStatus {
  std::string kind;
  Status status;              // the sink's, with what was lost here added to `dropped`
  std::uint64_t waiting = 0;  // samples that are not delivered yet, in memory or on the disk
  std::uint64_t retries = 0;
  std::string buffer = {};     // its name in the store; empty: in memory only
  std::uint64_t replayed = 0;  // delivered out of the buffer's backlog
};

struct OutletOptions {
  BufferOptions buffer;
  std::string name = {};         // of the buffer, for one on disk
  BufferStore* store = nullptr;  // null: nothing is put on the disk
};

// Lives on the pipeline's loop; status() and full() are for any thread. Samples leave in the order they came, or live
// ones first when the buffer says so.
class Outlet : public std::enable_shared_from_this<Outlet> {
 public:
  // What stop() waits for the sink to confirm, at most.
  static constexpr base::Duration kFlushWithin = std::chrono::seconds(2);

  Outlet(std::string kind, std::unique_ptr<Sink> sink, OutletOptions options = {});
  ~Outlet();

  Result<void> start(rt::Loop& loop);
  void deliver(const Sample& sample);
  // Waits for what is under way, without a buffer on disk also sends what waits while the sink takes it, then stops the
  // sink; `done` is called once, on the loop. What is neither sent nor on the disk is abandoned.
  void stop(std::function<void()> done);
  OutletStatus status() const;
  // True: the pipeline should take nothing more for now (a buffer with `full: refuse`).
  bool full() const { return queue_->full(); }
  const std::string& kind() const { return kind_; }

  // Told of every sample the peer refused for good.
  void on_refused(std::function<void(const Sample&, const std::string& why)> told) { refused_ = std::move(told); }

 private:
  struct UnderWay {
    std::uint64_t number = 0;
    Batch batch;
    bool replayed = false;
  };

  void pump();
  bool send_next();
  void answered(std::uint64_t number, const Sent& sent);
  void retry_later(std::uint64_t from);
  void taken(const UnderWay& sent, const Sent& answer);
  void finish();

  const std::string kind_;
  const std::string buffer_name_;
  const std::unique_ptr<Sink> sink_;
  const std::shared_ptr<OutletQueue> queue_;
  std::unique_ptr<rt::Timer> timer_;        // armed while nothing is sent after a failure
  std::unique_ptr<rt::Timer> flush_timer_;  // armed while stopping
  base::Backoff backoff_;
  std::function<void(const Sample&, const std::string&)> refused_;
  std::deque<UnderWay> under_way_;  // oldest first
  std::uint64_t next_number_ = 0;
  std::size_t replaying_ = 0;  // of those, from the backlog
  bool pumping_ = false;
  bool running_ = false;
  std::function<void()> stopped_;  // set while stopping
  std::atomic<std::uint64_t> dropped_{0};
  std::atomic<std::uint64_t> retries_{0};
  mutable std::mutex detail_mutex_;  // guards the one below
  std::string trouble_;              // why the last batch was not confirmed; empty after one that was
};

}  // namespace penstock::ingest
