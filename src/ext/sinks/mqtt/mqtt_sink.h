// Samples and alarms to an MQTT broker.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "ext/sinks/mqtt/topic_template.h"
#include "ingest/contracts.h"
#include "mqtt/connection.h"

namespace penstock::ext {

struct MqttSinkOptions {
  mqtt::Options broker;
  TopicTemplate topic;
  std::optional<TopicTemplate> alarm_topic;  // none: alarms go to `topic`
  int qos = 0;
  bool retain = false;
  bool samples = true;      // deliver samples
  bool alarms = false;      // deliver alarm changes
  bool properties = false;  // MQTT 5: content type, and the sample's tags as user properties
};

// A batch is confirmed when the broker acknowledged every message of it (at QoS 0: when all are written).
class MqttSink : public ingest::Sink {
 public:
  MqttSink(std::string pipeline, MqttSinkOptions options);

  Result<void> start(rt::Loop& loop) override;
  // The broker takes them in order, and a lost connection fails all that are under way.
  std::size_t in_flight_max() const override { return 4; }
  void send(ingest::Batch batch, std::function<void(ingest::Sent)> done) override;
  void stop() override;
  ingest::Status status() const override;

 private:
  struct Messages {
    std::vector<mqtt::Outgoing> messages;
    std::vector<std::size_t> samples;  // the position in the batch of each
    std::vector<std::size_t> unfit;    // positions of samples with no topic
  };
  void add(const ingest::Sample& sample, std::size_t position, const TopicTemplate& topic, std::string payload,
           Messages& out) const;

  const std::string pipeline_;
  const MqttSinkOptions options_;
  rt::Loop* loop_ = nullptr;
  std::shared_ptr<bool> running_ = std::make_shared<bool>(false);  // the loop's
  mqtt::Connection connection_;
};

std::unique_ptr<ingest::Sink> make_mqtt_sink(const std::string& pipeline, const config::Node& kind, config::Map& map,
                                             const ingest::Context& context);

}  // namespace penstock::ext
