// The one consumer of request events: metrics, access log, recent requests, and whoever keeps usage. It comes by every
// 25 ms while there are events, and sleeps when there are none.
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "obs/access_log.h"
#include "obs/event.h"
#include "obs/metrics.h"
#include "obs/ring.h"

namespace penstock::obs {

class Observer {
 public:
  struct Options {
    std::size_t cores = 1;
    bool access_log = true;
    // Called on the observer thread with every batch of events. Returns how soon it wants to be called again, also
    // with none; zero: not before there are some.
    std::function<base::Duration(const std::vector<RequestEvent>&)> on_batch;
  };
  explicit Observer(Options options);
  ~Observer();

  void start();
  // Takes what is still queued, then ends the thread.
  void stop();

  // On core `core` only (0 ≤ core < cores). Never waits; a full ring drops the event and counts it. Wakes the observer
  // only when it sleeps: with the first event after a quiet time.
  void record(std::size_t core, const RequestEvent& event) {
    rings_[core]->push(event);
    if (asleep_.load(std::memory_order_seq_cst)) [[unlikely]]
      wake();
  }

  // Has on_batch called soon, also without events. Any thread.
  void wake();

  Metrics& metrics() { return metrics_; }
  // The newest first, at most `limit`. Any thread.
  std::vector<RequestEvent> recent(std::size_t limit) const;
  std::uint64_t dropped() const;
  // How long the oldest event that was not looked at may have waited; zero when none waits. Any thread.
  base::Duration lag() const;
  std::uint64_t requests_total() const { return requests_total_.load(std::memory_order_relaxed); }

 private:
  void run();
  bool nap();
  void sleep(base::Duration at_most);
  bool queued() const;
  base::Duration drain();
  void remember();
  void collect(MetricWriter& writer) const;
  void count(const RequestEvent& event);

  // The series one kind of request counts into, looked up once per event, not per event and label.
  struct Series {
    Counter* requests;
    Histogram* request_seconds;
    Histogram* overhead_seconds;
    Histogram* first_token_seconds;
    Histogram* inter_token_seconds;
    std::array<Counter*, 5> tokens;  // input, output, cached, cache_write, reasoning
    Counter* cost;
    Counter* unpriced;
  };
  using SeriesKey = std::tuple<const char*, const char*, const char*, std::uint16_t, ErrorType>;
  Series& series_of(const RequestEvent& event);
  void count_stream(const RequestEvent& event, Series& series);
  void count_tokens(const RequestEvent& event, Series& series);
  void count_context(const RequestEvent& event);
  void count_cost(const RequestEvent& event, Series& series);

  Options options_;
  std::vector<std::unique_ptr<Ring<RequestEvent>>> rings_;
  Metrics metrics_;
  std::map<SeriesKey, Series> series_;
  std::map<SeriesKey, Series>::iterator last_series_ = series_.end();  // most requests are like the one before
  std::vector<RequestEvent> batch_;
  AccessLog access_log_;
  std::string lines_;
  mutable std::mutex recent_mutex_;
  std::vector<RequestEvent> recent_;  // a circle once it is full
  std::size_t recent_next_ = 0;       // where the next one goes
  std::atomic<std::uint64_t> requests_total_{0};
  std::atomic<base::Duration::rep> visited_{0};  // when the last visit began, on the steady clock
  std::mutex wake_mutex_;
  std::condition_variable wake_;
  std::atomic<bool> asleep_{false};
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace penstock::obs
