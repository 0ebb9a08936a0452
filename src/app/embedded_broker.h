// The embedded MQTT broker (src/broker) in the gateway: when it starts and stops, and where it shows.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "app/doctor_report.h"
#include "broker/supervisor.h"
#include "obs/metrics.h"

namespace penstock::app {

// The main thread's, but for what says otherwise.
class EmbeddedBroker {
 public:
  explicit EmbeddedBroker(const std::string& data_dir);

  // Makes everything ready, while programs may still be started. A broker that cannot run keeps nobody else from being
  // served: it is logged, and shows in notes().
  void prepare(const std::optional<broker::BrokerConfig>& config);
  void start();
  void reload(const std::optional<broker::BrokerConfig>& config);
  // It saves its messages; at most six seconds. A reload may start it again.
  void stop();

  // Any thread: which devices may connect; see broker::Supervisor.
  void set_devices(std::vector<broker::BrokerUser> devices) { supervisor_.set_devices(std::move(devices)); }
  // Any thread.
  broker::BrokerStatus status() const { return supervisor_.status(); }
  std::vector<std::string> notes() const;
  void collect(obs::MetricWriter& writer) const;

 private:
  std::atomic<bool> wanted_{false};
  broker::Supervisor supervisor_;
};

// For `penstock check` and `penstock doctor`.
std::string describe_broker(const broker::BrokerConfig& config);
void check_broker(const broker::BrokerConfig& config, Report& report);

}  // namespace penstock::app
