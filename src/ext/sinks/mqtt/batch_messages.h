// A batch of samples as messages, and the broker's answer as that to the batch.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "ingest/contracts.h"
#include "mqtt/connection.h"

namespace penstock::ext {

struct BatchMessages {
  std::vector<mqtt::Outgoing> messages;
  std::vector<std::size_t> samples = {};  // the position in the batch of each
  std::vector<std::size_t> unfit = {};    // positions of samples that no message can be made of
  const char* why_unfit = "the sample makes no topic that MQTT allows";

  ingest::Sent sent(mqtt::Published published) const;
};

// Publishes them; `done` is called on `loop`, as long as `running`, which is the loop's.
void publish(mqtt::Connection& connection, BatchMessages batch, rt::Loop& loop, std::shared_ptr<bool> running,
             std::function<void(ingest::Sent)> done);

}  // namespace penstock::ext
