// Tells targets of alarms: a bounded queue for each, retried until the target took it.
#pragma once

#include <map>
#include <memory>
#include <mutex>
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
  std::uint64_t dropped = 0;  // refused for good, too old, or no room
  std::string trouble = {};   // why the last attempt failed; empty after one that did not
};

// Any thread. Sends on the loop, which must not be destroyed before stop() returned and it ran once more.
class Notifier : public NotifyPort {
 public:
  // Notices that wait for one target; beyond that the oldest is given up.
  static constexpr std::size_t kWaitingMax = 1000;
  // After that nobody wants to know any more.
  static constexpr base::Duration kKeepFor = std::chrono::hours(24);

  Notifier(rt::Loop& loop, HttpPort* http, const base::Clock& clock);
  ~Notifier() override;

  // Names of the configuration that is being read: known from now on.
  void stage(const AlarmConfig& config);
  // What is written as before keeps its queue.
  void apply(const AlarmConfig& config);
  void stop();

  std::vector<std::string> targets() const override;
  void tell(const std::vector<std::string>& targets, const Notice& notice) override;
  std::vector<NotifyStatus> status() const;

 private:
  class Line;
  rt::Loop& loop_;
  const base::Clock& clock_;
  mutable std::mutex mutex_;  // guards what follows
  CarrierParts parts_;
  std::vector<std::string> staged_;
  std::map<std::string, std::shared_ptr<Line>> lines_;
};

}  // namespace penstock::ingest
