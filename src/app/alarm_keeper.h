// What alarms and actions need beside their pipelines: memory, history, clockwork, and somebody to tell.
#pragma once

#include <memory>
#include <string>

#include "app/lane_memory.h"
#include "ingest/action_board.h"
#include "ingest/lane.h"
#include "ingest/notifier.h"
#include "obs/metrics.h"

namespace penstock::app {

// Outlives the lane. Called by the thread that starts, reloads and stops, but for what says otherwise.
class AlarmKeeper {
 public:
  AlarmKeeper(const std::string& data_dir, rt::Loop& loop, ingest::HttpPort* http);
  ~AlarmKeeper();

  void furnish(ingest::Context& context);
  void watch(ingest::Lane& lane);
  // A configuration is about to be read that says this.
  void stage(const ingest::AlarmConfig& config) { notifier_.stage(config); }
  // It is in force. The first time the loop may not run yet.
  void apply(const ingest::AlarmConfig& config);
  // Nobody else writes the file any more: what was remembered is there from now on.
  void load();
  // After the lane stopped, while the loop still runs: what waits for the disk is written.
  void stop();

  // Any thread.
  ingest::ActionBoard& actions() { return actions_; }
  ingest::Notifier& notifier() { return notifier_; }
  // Blocks until what was done so far is on disk; else why it is not.
  Result<void> settle();
  // Blocks. Newest first.
  Result<std::vector<store::LaneEvent>> history(const store::LaneEventFilter& filter) { return state_.events(filter); }
  void collect(obs::MetricWriter& writer) const;

 private:
  void tick();
  void note(const ingest::AlarmEvent& event);
  void note(const ingest::ActionEvent& event);
  void note(const ingest::Notice& notice, const std::string& target, std::string_view what, const std::string& why);

  rt::Loop& loop_;
  store::LaneState state_;
  LaneMemory memory_{state_};
  ingest::Notifier notifier_;
  ingest::ActionBoard actions_;
  ingest::Lane* lane_ = nullptr;
  std::unique_ptr<rt::Timer> timer_;  // the loop's
  bool stopped_ = false;
};

// For LaneOptions.
void log_alarm(const ingest::AlarmChange& change);
void log_lane_problem(const std::string& problem);

}  // namespace penstock::app
