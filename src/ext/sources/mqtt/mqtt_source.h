// Samples from an MQTT broker.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "ext/sources/mqtt/decoder.h"
#include "ingest/contracts.h"
#include "mqtt/connection.h"

namespace penstock::ext {

struct MqttSourceOptions {
  mqtt::Options broker;
  std::vector<mqtt::Subscription> subscriptions;
  bool durable = false;     // acknowledges what the journal has
  bool properties = false;  // MQTT 5 user properties become tags
};

// Decodes and emits on the connection's own thread, one Emit per burst of messages. A durable one acknowledges a burst
// when its samples are stored, and reads nothing more before.
class MqttSource : public ingest::Source {
 public:
  MqttSource(std::string name, MqttSourceOptions options, MqttDecoder decoder, const base::Clock& clock);
  ~MqttSource() override;

  Result<void> start(rt::Loop& loop, ingest::Emit emit) override;
  void stop() override;
  ingest::Status status() const override;
  bool durable() const override { return durable_; }

 private:
  mqtt::Handlers handlers();
  void store(mqtt::Handlers::Settled settled);
  void take(const mqtt::Incoming& message);
  void hand_over();
  void note_malformed(std::string_view topic, const std::string& why);

  const std::string name_;
  const base::Clock& clock_;
  const bool durable_;
  const bool without_retained_;
  mqtt::Connection connection_;
  std::atomic<std::uint64_t> malformed_{0};  // messages
  std::atomic<std::uint64_t> refused_{0};    // samples a full pipeline queue did not take

  // The connection's thread.
  MqttDecoder decoder_;
  ingest::Emit emit_;
  std::vector<ingest::Sample> burst_;
  base::SteadyTime quiet_until_{};
  std::uint64_t unlogged_ = 0;
};

std::unique_ptr<ingest::Source> make_mqtt_source(const std::string& name, const config::Node& kind, config::Map& map,
                                                 const ingest::Context& context);

}  // namespace penstock::ext
