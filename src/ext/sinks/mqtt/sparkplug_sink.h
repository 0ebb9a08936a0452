// Samples as the devices of a Sparkplug B edge node.
#pragma once

#include <memory>
#include <mutex>
#include <string>

#include "ext/sinks/mqtt/sparkplug_node.h"
#include "ingest/contracts.h"
#include "mqtt/connection.h"

namespace penstock::ext {

// Data goes at QoS 0, as the specification has it: a batch is confirmed when it is written.
class SparkplugSink : public ingest::Sink {
 public:
  SparkplugSink(mqtt::Options broker, std::string group, std::string node);
  ~SparkplugSink() override;

  Result<void> start(rt::Loop& loop) override;
  void send(ingest::Batch batch, std::function<void(ingest::Sent)> done) override;
  // Blocks for up to 0.8 s: the broker is told that the node goes.
  void stop() override;
  ingest::Status status() const override;

 private:
  void be_born();
  void was_born(bool said);

  SparkplugNode node_;
  std::mutex order_;  // what is numbered first goes first; guards these three
  bool bearing_ = false;
  bool bear_again_ = false;  // asked for meanwhile, however often
  bool leaving_ = false;
  rt::Loop* loop_ = nullptr;
  std::shared_ptr<bool> running_ = std::make_shared<bool>(false);  // the loop's
  mqtt::Connection connection_;
};

// Reads `sparkplug: { group, node }`.
std::unique_ptr<ingest::Sink> make_sparkplug_sink(mqtt::Options broker, const config::Node& node);

}  // namespace penstock::ext
