// Single messages to one broker, each confirmed: commands and notices.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "base/result.h"
#include "mqtt/connection.h"
#include "rt/loop.h"

namespace penstock::ingest {

class MqttPublisher {
 public:
  explicit MqttPublisher(mqtt::Options broker) : broker_(std::move(broker)) {}

  // Begins to connect; any thread. Once is enough.
  Result<void> open();
  // On the loop. Waits up to `within` for a connection, then sends once. `done` exactly once, on the loop, with what
  // the broker said (at QoS 0: that it was written); data_loss when it was sent and the broker said nothing.
  using Done = std::function<void(Result<void>)>;
  void publish(rt::Loop& loop, mqtt::Outgoing message, base::Duration within, Done done);
  std::string address() const { return broker_.address(); }

 private:
  struct Attempt;
  const mqtt::Options broker_;
  std::mutex mutex_;  // guards the one below
  std::shared_ptr<mqtt::Connection> connection_;
};

// Replaces {device}, {pipeline}, {alarm} and {id} in a text; every value passes through `fit` before.
std::string fill_in(std::string_view text, const std::vector<std::pair<std::string_view, std::string_view>>& values,
                    const std::function<std::string(std::string_view)>& fit);

}  // namespace penstock::ingest
