// Samples and alarms to an MQTT broker.
#pragma once

#include <atomic>
#include <memory>
#include <string>

#include "ext/sinks/mqtt/topic_template.h"
#include "ingest/contracts.h"
#include "mqtt/connection.h"

namespace penstock::ext {

struct MqttSinkOptions {
  mqtt::Options broker;
  TopicTemplate topic;
  int qos = 0;
  bool retain = false;
  bool samples = true;  // deliver samples
  bool alarms = false;  // deliver alarm changes
};

class MqttSink : public ingest::Sink {
 public:
  MqttSink(std::string pipeline, MqttSinkOptions options);

  Result<void> start(rt::Loop& loop) override;
  void send(ingest::Batch batch, std::function<void(ingest::Sent)> done) override;
  void stop() override;
  ingest::Status status() const override;

 private:
  void publish(const ingest::Sample& sample, std::string payload);

  const std::string pipeline_;
  const TopicTemplate topic_;
  const int qos_;
  const bool retain_;
  const bool samples_;
  const bool alarms_;
  std::atomic<std::uint64_t> unfit_{0};  // messages whose topic or payload no broker would take
  mqtt::Connection connection_;
};

std::unique_ptr<ingest::Sink> make_mqtt_sink(const std::string& pipeline, const config::Node& kind, config::Map& map,
                                             const ingest::Context& context);

}  // namespace penstock::ext
