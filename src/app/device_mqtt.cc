#include "app/device_mqtt.h"

#include "device/command.h"
#include "obs/log.h"

namespace penstock::app {
namespace {

// How long the broker keeps answers and reports for a gateway that is away.
constexpr std::chrono::seconds kSession = std::chrono::hours(7 * 24);

}  // namespace

void DeviceMqtt::serve(bool broker) {
  if (broker == (answers_ != nullptr)) return;
  if (broker) {
    answers_ = connect("devices/answers", "devices/+/commands/ack", true);
    reports_ = connect("devices/reports", "devices/+/twin/reported", false);
    return;
  }
  clerk_.publish_with({});
  reports_->stop({});
  answers_->stop(std::chrono::milliseconds(500));
  // It may have been greeted meanwhile; from here on it is not.
  clerk_.publish_with({});
  reports_.reset();
  answers_.reset();
}

// The handlers run on the connection's thread, one after the other.
std::shared_ptr<mqtt::Connection> DeviceMqtt::connect(const char* name, const char* filter, bool publishing) {
  mqtt::Options options;
  options.embedded = true;
  options.version = mqtt::Version::v5;
  options.identity = {data_dir_, name};
  options.session = kSession;
  mqtt::Handlers handlers;
  auto burst = std::make_shared<std::vector<device::DeviceMessage>>();
  handlers.message = [burst](const mqtt::Incoming& message) {
    // Longer ones are refused, and need not be held for that.
    burst->push_back(
        {std::string(message.topic), std::string(message.payload.substr(0, device::kMessageBytesMax + 1))});
  };
  handlers.store = [this, burst](mqtt::Handlers::Settled settled) { clerk_.take_messages(*burst, std::move(settled)); };
  handlers.burst_end = [burst] { burst->clear(); };
  auto place = std::make_shared<std::weak_ptr<mqtt::Connection>>();
  // A broker that was started again may have forgotten what it retained.
  if (publishing) {
    handlers.greeted = [this, place] {
      clerk_.publish_with([place](device::Publication one) {
        auto to = place->lock();
        if (!to) return;
        mqtt::Outgoing message{.topic = std::move(one.topic),
                               .payload = std::move(one.payload),
                               .qos = 1,
                               .retain = one.retained,
                               .good_for = one.good_for};
        if (!one.told) {
          to->publish(std::move(message));
          return;
        }
        // Also what the broker refuses is told: it would be refused again.
        to->publish({std::move(message)},
                    [told = std::move(one.told)](const mqtt::Published& what) { told(what.confirmed); });
      });
    };
  }
  auto connection = std::make_shared<mqtt::Connection>(
      std::move(options), std::vector<mqtt::Subscription>{{.filter = filter, .qos = 1}}, std::move(handlers));
  *place = connection;
  if (auto started = connection->start(); !started)
    obs::log(obs::Level::error, "devices get no twins and commands over MQTT", {{"why", started.error().detail}});
  return connection;
}

}  // namespace penstock::app
