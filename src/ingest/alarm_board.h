// Which alarms stand, what people did about them, and who is told: read by the admin API, the metrics and the console,
// written by pipelines. Survives restarts where there is a StatePort.
#pragma once

#include <array>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "ingest/alarm_record.h"
#include "ingest/alarm_rules.h"
#include "ingest/contracts.h"
#include "ingest/notify.h"

namespace penstock::ingest {

// Alarms that somebody means; an empty text matches all.
struct AlarmMatch {
  std::string pipeline = {};
  std::string name = {};
  std::string device = {};
};

// Any thread may call anything.
class AlarmBoard {
 public:
  // Changes remembered. When full the oldest is forgotten.
  static constexpr std::size_t kHistoryMax = 1000;
  // Alarms listed. Beyond that a raise is counted and put into the history, but not listed.
  static constexpr std::size_t kActiveMax = 10'000;
  static constexpr std::size_t kShelvesMax = 10'000;
  // How often tick() is to be called, about.
  static constexpr base::Duration kTick = std::chrono::seconds(1);

  using Told = std::function<void(const AlarmChange&)>;
  using Noted = std::function<void(const AlarmEvent&)>;

  // `told` is called for every raise and clear that is no part of a flood, on the thread of the change, outside the
  // board's lock; for the log.
  explicit AlarmBoard(Told told = {}) : told_(std::move(told)) {}
  // Before anything else is called. Ports may be null; they outlive the board.
  void attach(StatePort* state, NotifyPort* notify, const base::Clock* clock);
  // What happens is kept by it; called outside the lock. Before pipelines run.
  void on_event(Noted noted) { noted_ = std::move(noted); }
  void set_flood(FloodLimit flood);
  // Takes up what stood before a restart. Returns what could not be read.
  std::vector<std::string> restore();

  // --- pipelines ---
  void change(const AlarmChange& change);
  // What stands of one alarm, by device.
  std::vector<AlarmChange> raised(const std::string& pipeline, const std::string& name) const;
  // What the pipeline is configured with now: what stands under another name is cleared.
  void declare(const std::string& pipeline, const AlarmTable& alarms, base::WallMicros at);
  // The pipeline is gone: what it had raised is cleared, with `why`.
  void clear_pipeline(const std::string& pipeline, base::WallMicros at, const std::string& why);
  // The same for all pipelines but these.
  void clear_others(const std::set<std::string>& pipelines, base::WallMicros at, const std::string& why);
  // Time passed: shelves end, what nobody acknowledged is escalated, floods end.
  void tick();

  // --- people; each returns how many alarms it was about ---
  std::size_t acknowledge(const AlarmMatch& match, const std::string& actor, const std::string& note);
  // Standing or not; of one alarm, for one device or all. resource_exhausted when too many are.
  Result<void> shelve(AlarmShelf shelf);
  std::size_t unshelve(const AlarmMatch& match, const std::string& actor);

  std::vector<AlarmChange> active() const;   // raised ones by pipeline, name and device
  std::vector<AlarmRecord> records() const;  // the same, and the returned ones
  std::vector<AlarmShelf> shelves() const;
  bool shelved(const AlarmChange& change) const;
  std::vector<AlarmChange> history() const;  // newest first
  std::size_t active_count() const;
  std::uint64_t raised_total() const;
  std::uint64_t suppressed_total() const;

 private:
  using Key = std::tuple<std::string, std::string, std::string>;
  struct Flood {
    struct Level {
      std::deque<base::SteadyTime> raises;
      bool standing = false;
    };
    std::array<Level, 2> levels;                 // info, warning
    std::map<std::string, std::uint64_t> quiet;  // since it began, of each alarm: "hot (warning)"
    std::set<std::string> targets;               // that were told of it
    bool standing() const { return levels[0].standing || levels[1].standing; }
  };
  // What is to be done once the lock is given back.
  struct Outbox {
    std::vector<AlarmChange> told;
    std::vector<AlarmEvent> events;
    std::vector<std::pair<std::vector<std::string>, Notice>> notices;
  };

  base::WallMicros now() const { return clock_ == nullptr ? 0 : clock_->wall(); }
  void deliver(const Outbox& out);
  // All of these under the lock.
  void raise(const AlarmChange& change, Outbox& out);
  void clear(const AlarmChange& change, Outbox& out);
  bool flooded(const AlarmChange& change, Outbox& out);
  void end_floods(Outbox& out);
  AlarmChange flood_alarm(const std::string& pipeline, const Flood& flood, bool raised) const;
  void begin_flood(const std::string& pipeline, const Flood& flood, Outbox& out);
  void end_flood(const std::string& pipeline, const Flood& flood, Outbox& out);
  bool flood_stands(const std::string& pipeline) const;
  void follow_clock();
  void end_shelves(Outbox& out, std::vector<AlarmShelf>& ended);
  void escalate(AlarmRecord& record, const AlarmRules& rules, Outbox& out);
  void clear_where(const std::function<bool(const Key&)>& which, base::WallMicros at, const std::string& why,
                   Outbox& out);
  void notify(const std::vector<std::string>& targets, std::string event, const AlarmChange& change, Outbox& out);
  void note(const AlarmChange& change, std::string what, Outbox& out, std::string actor = {}, std::string why = {});
  const AlarmRules& rules_of(const AlarmChange& change) const;
  const AlarmShelf* shelf_of(const AlarmChange& change) const;
  void keep(const AlarmRecord& record);
  void keep(const AlarmShelf& shelf);
  void forget(const AlarmChange& change);
  void remember(const AlarmChange& change);

  const Told told_;
  Noted noted_;
  StatePort* state_ = nullptr;
  NotifyPort* notify_ = nullptr;
  const base::Clock* clock_ = nullptr;
  std::mutex turn_mutex_;     // before mutex_, until what was decided is delivered: it is told in the order it happened
  mutable std::mutex mutex_;  // guards what follows
  FloodLimit flood_;
  std::map<Key, AlarmRecord> records_;
  std::map<Key, AlarmShelf> shelves_;
  std::map<std::string, AlarmTable> rules_;
  std::map<std::string, Flood> floods_;
  std::deque<AlarmChange> history_;
  base::WallMicros ticked_wall_ = 0;  // at the last tick(); 0: there was none
  base::SteadyTime ticked_steady_{};
  std::size_t raised_ = 0;  // of records_
  std::uint64_t raised_total_ = 0;
  std::uint64_t suppressed_total_ = 0;
};

}  // namespace penstock::ingest
