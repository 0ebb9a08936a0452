// Single messages to one broker: commands and notices. The connection is made with the first one.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "base/result.h"
#include "mqtt/connection.h"

namespace penstock::ingest {

class MqttPublisher {
 public:
  explicit MqttPublisher(mqtt::Options broker) : broker_(std::move(broker)) {}

  // Any thread; never blocks. An error when it could not be handed to the connection.
  Result<void> publish(mqtt::Outgoing message);
  std::string address() const { return broker_.address(); }

 private:
  const mqtt::Options broker_;
  std::mutex mutex_;  // guards the one below
  std::unique_ptr<mqtt::Connection> connection_;
};

// Replaces {device}, {pipeline}, {alarm} and {id} in a text; every value passes through `fit` before.
std::string fill_in(std::string_view text, const std::vector<std::pair<std::string_view, std::string_view>>& values,
                    const std::function<std::string(std::string_view)>& fit);

}  // namespace penstock::ingest
