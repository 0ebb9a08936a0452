// Turns request events into usage rows: summed per key, model and target over at most 100 ms, written in one
// transaction, so that the database costs the same at ten and at fifty thousand requests per second.
#pragma once

#include <atomic>
#include <map>
#include <tuple>

#include "obs/event.h"
#include "obs/metrics.h"
#include "store/state.h"

namespace penstock::app {

// On the observer thread only, but for collect().
class UsageWriter {
 public:
  explicit UsageWriter(store::State state, const base::Clock& clock = base::system_clock());
  // What is gathered is kept and tried again while the disk refuses it: one row per key, model and target, so that it
  // does not grow with time. Returns how soon to come again, also without events; zero when nothing waits.
  base::Duration take(const std::vector<obs::RequestEvent>& events);
  // Writes what is gathered now and, unlike take(), waits for another writer of the database: for the end.
  void flush();
  // Rows that wait, since when, and how often writing failed. Any thread.
  void collect(obs::MetricWriter& writer) const;

 private:
  using Key = std::tuple<const char*, const char*, const char*, const char*>;
  using Sums = std::map<Key, store::UsageRow>;
  store::UsageRow& row_of(const obs::RequestEvent& event);
  void write();
  void complain(const Error& error);

  store::State state_;
  const base::Clock& clock_;
  Sums sums_;
  Sums::iterator last_ = sums_.end();  // most requests are like the one before
  base::SteadyTime due_{};             // when to write
  base::SteadyTime complained_{};
  std::atomic<std::size_t> waiting_{0};                  // rows
  std::atomic<base::SteadyTime::rep> waiting_since_{0};  // the oldest of them
  std::atomic<std::uint64_t> failures_{0};
};

}  // namespace penstock::app
