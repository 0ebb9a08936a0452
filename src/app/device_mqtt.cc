#include "app/device_mqtt.h"

#include "obs/log.h"

namespace penstock::app {

void DeviceMqtt::serve(bool broker) {
  if (broker == (connection_ != nullptr)) return;
  if (!broker) {
    clerk_.publish_with({});
    connection_->stop(std::chrono::milliseconds(500));
    connection_.reset();
    return;
  }
  mqtt::Options options;
  options.embedded = true;
  mqtt::Handlers handlers;
  handlers.message = [this](const mqtt::Incoming& message) {
    clerk_.take_message({}, message.topic, std::string(message.payload));
  };
  // A broker that was started again may have forgotten what it retained.
  handlers.greeted = [this] {
    std::weak_ptr<mqtt::Connection> connection = connection_;
    clerk_.publish_with([connection](std::string topic, std::string payload, bool retained) {
      if (auto to = connection.lock())
        to->publish({.topic = std::move(topic), .payload = std::move(payload), .qos = 1, .retain = retained});
    });
  };
  connection_ = std::make_shared<mqtt::Connection>(
      std::move(options),
      std::vector<mqtt::Subscription>{{.filter = "devices/+/twin/reported", .qos = 1},
                                      {.filter = "devices/+/commands/ack", .qos = 1}},
      std::move(handlers));
  if (auto started = connection_->start(); !started)
    obs::log(obs::Level::error, "devices get no twins and commands over MQTT", {{"why", started.error().detail}});
}

}  // namespace penstock::app
