// Turns request events into usage rows: summed per key, team, model, target and minute over at most 100 ms, written in
// one transaction, so that the database costs the same at ten and at fifty thousand requests per second. How far the
// meters of limits and budgets stand goes into the same transaction.
#pragma once

#include <atomic>
#include <map>
#include <mutex>
#include <tuple>

#include "obs/event.h"
#include "obs/metrics.h"
#include "quota/book.h"
#include "store/ledger.h"

namespace penstock::app {

// On the observer thread only, but for what says otherwise.
class UsageWriter {
 public:
  explicit UsageWriter(store::Ledger ledger, const base::Clock& clock = base::system_clock());
  // Takes the meters up where the ledger has them, and keeps them in it from now on. Before the book's first account is
  // made and before take().
  // `successor`: another process keeps them in the ledger until own_meters().
  Result<void> keep(quota::Book& book, bool successor = false);
  // What is gathered is kept and tried again while the disk refuses it. Returns how soon to come again, also without
  // events; zero when nothing waits.
  base::Duration take(const std::vector<obs::RequestEvent>& events);
  // Writes what is gathered now and, unlike take(), waits for another writer of the database: for the end.
  void flush();
  // How long rows are kept from now on. Any thread.
  void set_retention(const store::UsageRetention& keep);
  // Whether there are any limits or budgets: then meters are looked at every 100 ms, also without events, because a
  // long stream holds something of them while it stands. Any thread; wake the observer afterwards.
  void set_metered(bool metered) { metered_.store(metered, std::memory_order_relaxed); }
  // From now on another process keeps the meters; it is left what is counted here. Any thread, as all of these; wake
  // the observer afterwards.
  void let_go_of_meters() { let_go_.store(true, std::memory_order_relaxed); }
  // The ledger has all that was counted before, and nothing more is written over what the other writes.
  bool has_let_go() const { return let_go_done_.load() || !metered_.load(std::memory_order_relaxed); }
  // The predecessor has let go of them.
  void own_meters() { own_.store(true, std::memory_order_relaxed); }
  // How often the meters were looked at and written. It does not grow without limits or budgets, nor when the disk
  // fails.
  std::uint64_t looks() const { return looks_.load(); }
  bool metered() const { return metered_.load(std::memory_order_relaxed); }
  // Rows that wait, since when, how often writing failed, and alerts of budgets. Any thread.
  void collect(obs::MetricWriter& writer) const;

  // Beyond so many waiting rows minutes are no longer kept apart, beyond so many no further row begins.
  static constexpr std::size_t kMinutesApartRows = 50'000;
  static constexpr std::size_t kWaitingRowsMax = 500'000;

 private:
  // Interned names, and the minute: those of one set of names stand together.
  using Key = std::tuple<const char*, const char*, const char*, const char*, const char*, std::int64_t>;
  store::UsageRow* row_of(const obs::RequestEvent& event);
  void count(const obs::RequestEvent& event);
  quota::Now now() const { return {clock_.steady(), clock_.wall()}; }
  bool anything() const { return !rows_.empty() || !meters_.empty() || !to_leave_.empty() || !taken_up_.empty(); }
  void look_at_meters();
  bool catch_up();
  void take_up_carried();
  void note_told();
  void write();
  bool trim(base::SteadyTime now);
  void complain(std::string_view what, const std::string& why);

  store::Ledger ledger_;
  const base::Clock& clock_;
  quota::Book* book_ = nullptr;
  std::atomic<bool> metered_{false};
  std::atomic<bool> let_go_{false};
  std::atomic<bool> let_go_done_{false};
  std::atomic<bool> own_{true};
  std::atomic<std::uint64_t> looks_{0};
  using States = std::map<std::string, std::string>;  // by account
  std::optional<States> restored_;                    // until the meters are ours: as they were read at the start
  States told_;                                       // after they were: as the ledger knows them
  std::vector<store::CarriedMeter> to_leave_;         // that waits to be written
  std::vector<store::CarriedMeter> waiting_carried_;  // not taken up yet
  std::vector<std::int64_t> taken_up_;
  std::int64_t carried_read_ = 0;              // the last of them
  std::map<std::string, std::string> meters_;  // states that wait to be written, by account
  std::vector<store::UsageRow> rows_;
  std::map<Key, std::size_t> index_;  // of rows_
  Key last_{};                        // most requests are like the one before
  std::size_t last_row_ = 0;
  base::SteadyTime due_{};     // when to write
  base::SteadyTime trim_due_;  // when to look for what is kept no longer
  base::SteadyTime complained_{};
  base::SteadyTime started_;
  base::WallMicros started_wall_;
  bool doubted_ = false;  // the clock at the start
  mutable std::mutex keep_mutex_;
  store::UsageRetention keep_;
  std::atomic<std::size_t> waiting_{0};                  // rows
  std::atomic<base::SteadyTime::rep> waiting_since_{0};  // the oldest of them
  std::atomic<std::uint64_t> failures_{0};
  std::atomic<std::uint64_t> lost_{0};    // calls
  std::atomic<std::uint64_t> alerts_{0};  // of budgets
};

}  // namespace penstock::app
