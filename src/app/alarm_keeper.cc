#include "app/alarm_keeper.h"

#include <set>

#include "obs/log.h"

namespace penstock::app {
namespace {

void log_trouble(const Error* error) {
  if (error == nullptr) {
    obs::log(obs::Level::info, "alarms and actions are remembered again");
  } else {
    obs::log(obs::Level::error, "alarms cannot be remembered over a restart, and no action is made",
             {{"why", error->detail}});
  }
}

}  // namespace

void log_alarm(const ingest::AlarmChange& change) {
  obs::log(change.raised ? obs::Level::warn : obs::Level::info, change.raised ? "alarm raised" : "alarm cleared",
           {{"pipeline", change.pipeline},
            {"alarm", change.name},
            {"device", change.device},
            {"severity", change.severity},
            {"why", change.why}});
}

void log_lane_problem(const std::string& problem) {
  obs::log(obs::Level::error, "the device lane", {{"problem", problem}});
}

AlarmKeeper::AlarmKeeper(const std::string& data_dir, rt::Loop& loop, ingest::HttpPort* http)
    : loop_(loop),
      state_(data_dir, log_trouble),
      notifier_(loop, http, base::system_clock(), &memory_,
                [this](const ingest::Notice& notice, const std::string& target, std::string_view what,
                       const std::string& why) { note(notice, target, what, why); }),
      actions_(&memory_, &base::system_clock(), [this](const ingest::ActionEvent& event) { note(event); }) {}

AlarmKeeper::~AlarmKeeper() = default;

void AlarmKeeper::furnish(ingest::Context& context) {
  context.state = &memory_;
  context.notify = &notifier_;
  context.actions = &actions_;
}

void AlarmKeeper::watch(ingest::Lane& lane) {
  lane_ = &lane;
  lane.alarms().on_event([this](const ingest::AlarmEvent& event) { note(event); });
}

void AlarmKeeper::load() {
  if (auto loaded = state_.load(); !loaded) {
    obs::log(obs::Level::error, "what was remembered of alarms and actions cannot be read: they begin anew",
             {{"why", loaded.error().detail}});
  }
}

void AlarmKeeper::apply(const ingest::AlarmConfig& config) {
  notifier_.apply(config);
  lane_->alarms().set_flood(config.flood);
  loop_.post([this] {
    if (!timer_) timer_ = std::make_unique<rt::Timer>(loop_);
    if (!timer_->armed()) tick();
  });
}

void AlarmKeeper::tick() {
  lane_->alarms().tick();
  timer_->arm_in(ingest::AlarmBoard::kTick, [this] { tick(); });
}

void AlarmKeeper::stop() {
  if (std::exchange(stopped_, true)) return;
  notifier_.stop();
  loop_.post([this] { timer_.reset(); });
  state_.close();
}

Result<void> AlarmKeeper::settle() {
  auto written = state_.flush();
  if (written) return {};
  return fail(Errc::unavailable,
              fmt::format("it is so now, but could not be written down and would not outlast a restart: {}; see to the "
                          "disk and do it again",
                          written.error().detail));
}

void AlarmKeeper::note(const ingest::Notice& notice, const std::string& target, std::string_view what,
                       const std::string& why) {
  if (what != "told") {
    obs::log(what == "delayed" ? obs::Level::warn : obs::Level::error,
             what == "delayed" ? "a notice is not taken, and is tried again" : "a notice is given up",
             {{"target", target},
              {"pipeline", notice.alarm.pipeline},
              {"alarm", notice.alarm.name},
              {"device", notice.alarm.device},
              {"event", notice.event},
              {"why", why}});
  }
  note(ingest::AlarmEvent{.change = notice.alarm,
                          .what = std::string(what),
                          .at = base::system_clock().wall(),
                          .actor = "notify " + target,
                          .why = why.empty() ? notice.event : fmt::format("{}: {}", notice.event, why)});
}

void AlarmKeeper::note(const ingest::AlarmEvent& event) {
  state_.append({.at = event.at,
                 .kind = "alarm",
                 .pipeline = event.change.pipeline,
                 .name = event.change.name,
                 .device = event.change.device,
                 .what = event.what,
                 .severity = event.change.severity,
                 .actor = event.actor,
                 .why = event.why});
}

void AlarmKeeper::note(const ingest::ActionEvent& event) {
  static const std::set<std::string, std::less<>> kBad{"failed", "unknown", "missed"};
  obs::log(kBad.contains(event.what) ? obs::Level::error : obs::Level::info, "action " + event.what,
           {{"pipeline", event.pipeline},
            {"action", event.name},
            {"device", event.device},
            {"id", event.id},
            {"does", event.action},
            {"by", event.actor},
            {"why", event.why}});
  state_.append({.at = event.at,
                 .kind = "action",
                 .pipeline = event.pipeline,
                 .name = event.name,
                 .device = event.device,
                 .what = event.what,
                 .severity = "",
                 .actor = event.actor,
                 .why = event.id.empty() ? event.why : fmt::format("{} [{}]: {}", event.action, event.id, event.why)});
}

void AlarmKeeper::collect(obs::MetricWriter& writer) const {
  auto one = [&](std::string_view name, std::string_view type, std::string_view help, double value) {
    writer.family(name, type, help);
    writer.sample(name, {}, value);
  };
  const ingest::AlarmBoard& board = lane_->alarms();
  one("penstock_alarms_active", "gauge", "Alarms that stand.", static_cast<double>(board.active_count()));
  one("penstock_alarms_raised_total", "counter", "Alarms raised.", static_cast<double>(board.raised_total()));
  one("penstock_alarms_suppressed_total", "counter", "Alarms of floods, which nobody was told of.",
      static_cast<double>(board.suppressed_total()));
  std::vector<ingest::ActionStatus> actions = actions_.list();
  if (!actions.empty()) {
    writer.family("penstock_actions_total", "counter", "What became of actions.");
    for (const ingest::ActionStatus& action : actions) {
      for (const auto& [what, count] : action.counts) {
        writer.sample("penstock_actions_total",
                      {{"pipeline", action.pipeline}, {"action", action.name}, {"outcome", what}},
                      static_cast<double>(count));
      }
    }
  }
  std::vector<ingest::NotifyStatus> targets = notifier_.status();
  if (targets.empty()) return;
  writer.family("penstock_notices_total", "counter", "Notices of alarms.");
  for (const ingest::NotifyStatus& target : targets) {
    for (const auto& [outcome, count] : {std::pair("delivered", target.delivered), {"dropped", target.dropped}})
      writer.sample("penstock_notices_total", {{"target", target.name}, {"outcome", outcome}},
                    static_cast<double>(count));
  }
  writer.family("penstock_notices_waiting", "gauge", "Notices that a target has not taken yet.");
  for (const ingest::NotifyStatus& target : targets)
    writer.sample("penstock_notices_waiting", {{"target", target.name}}, static_cast<double>(target.waiting));
}

}  // namespace penstock::app
