// The one consumer of request events: metrics, access log, recent requests, and whoever keeps usage.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "obs/event.h"
#include "obs/metrics.h"
#include "obs/ring.h"

namespace penstock::obs {

class Observer {
 public:
  struct Options {
    std::size_t cores = 1;
    bool access_log = true;
    // Called on the observer thread with every batch of events and, with none, at least every 100 ms.
    std::function<void(const std::vector<RequestEvent>&)> on_batch;
  };
  explicit Observer(Options options);
  ~Observer();

  void start();
  // Takes what is still queued, then ends the thread.
  void stop();

  // On core `core` only (0 ≤ core < cores). Never waits; a full ring drops the event and counts it.
  void record(std::size_t core, const RequestEvent& event) { rings_[core]->push(event); }

  Metrics& metrics() { return metrics_; }
  // The newest first, at most `limit`. Any thread.
  std::vector<RequestEvent> recent(std::size_t limit) const;
  std::uint64_t dropped() const;
  std::uint64_t requests_total() const { return requests_total_.load(std::memory_order_relaxed); }

 private:
  void run();
  void drain();
  void count(const RequestEvent& event);

  // The series one kind of request counts into, looked up once per batch and kind, not per event and label.
  struct Series {
    Counter* requests;
    Histogram* request_seconds;
    Histogram* overhead_seconds;
    Histogram* first_token_seconds;
    Histogram* inter_token_seconds;
    std::array<Counter*, 3> tokens;  // input, output, cached
  };
  using SeriesKey = std::tuple<const char*, const char*, const char*, std::uint16_t, ErrorType>;
  Series& series_of(const RequestEvent& event);
  void count_stream(const RequestEvent& event, Series& series);
  void count_tokens(const RequestEvent& event, Series& series);

  Options options_;
  std::vector<std::unique_ptr<Ring<RequestEvent>>> rings_;
  Metrics metrics_;
  std::map<SeriesKey, Series> series_;
  std::vector<RequestEvent> batch_;
  std::string lines_;
  mutable std::mutex recent_mutex_;
  std::deque<RequestEvent> recent_;
  std::atomic<std::uint64_t> requests_total_{0};
  std::mutex stop_mutex_;
  std::condition_variable stop_wake_;
  bool stopping_ = false;
  std::thread thread_;
};

// The access-log line of one event, with its newline.
void append_access_line(std::string& out, const RequestEvent& event);

}  // namespace penstock::obs
