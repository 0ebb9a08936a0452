// Tells targets of alarms: a bounded queue for each, retried until the target took it, and remembered over a restart
// where there is a StatePort. What becomes of each notice is told.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "ingest/alarm_config.h"
#include "ingest/notify_carrier.h"

namespace penstock::ingest {

struct NotifyStatus {
  std::string name = {};
  std::size_t waiting = 0;
  std::uint64_t delivered = 0;
  std::uint64_t failed = 0;   // attempts
  std::uint64_t dropped = 0;  // refused for good, too old, no room, or the target is gone
  std::string trouble = {};   // why the last attempt failed; empty after one that did not
};

// Any thread. Sends on the loop, which must not be destroyed before stop() returned and it ran once more.
class Notifier : public NotifyPort {
 public:
  // Notices that wait for one target; beyond that the oldest of the lowest severity is given up.
  static constexpr std::size_t kWaitingMax = 1000;
  // After that nobody wants to know any more.
  static constexpr base::Duration kKeepFor = std::chrono::hours(24);

  // What became of a notice: "told", "delayed" (once, when the first attempt fails; it goes on) or "not_told", with
  // why. On the thread where it happened; does not call the notifier.
  using Noted = std::function<void(const Notice& notice, const std::string& target, std::string_view what,
                                   const std::string& why)>;

  // `state` may be null and outlives the notifier; what it holds is taken up by the first apply() that names its
  // target.
  Notifier(rt::Loop& loop, HttpPort* http, const base::Clock& clock, StatePort* state = nullptr, Noted noted = {});
  ~Notifier() override;

  // Names of the configuration that is being read: known from now on.
  void stage(const AlarmConfig& config);
  // A target keeps what waits for it, however it is written now. What waits for one that is gone is given up.
  void apply(const AlarmConfig& config);
  // Sends nothing any more. What waits is sent by the next process, where it is remembered.
  void stop();

  std::vector<std::string> targets() const override;
  void tell(const std::vector<std::string>& targets, const Notice& notice) override;
  std::vector<NotifyStatus> status() const;

 private:
  struct Waiting {
    Notice notice;
    std::string key;       // in the StatePort
    bool delayed = false;  // and that was told
    // When it was put, by the clock that nobody sets; none for what a process before this one left.
    std::optional<base::SteadyTime> since = std::nullopt;
  };
  class Line;
  // What waited for the target when the process before this one ended, oldest first.
  std::deque<Waiting> remembered(const std::string& target) const;
  void give_up(const std::string& target, const std::deque<Waiting>& waiting) const;
  rt::Loop& loop_;
  const base::Clock& clock_;
  StatePort* const state_;
  const Noted noted_;
  mutable std::mutex mutex_;  // guards what follows
  CarrierParts parts_;
  std::vector<std::string> staged_;
  std::map<std::string, std::shared_ptr<Line>> lines_;
};

}  // namespace penstock::ingest
