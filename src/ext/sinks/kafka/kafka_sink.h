// Samples as messages of a Kafka topic.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "ext/sinks/kafka/producer.h"
#include "ingest/contracts.h"
#include "ingest/portion.h"

namespace penstock::ext {

struct KafkaSinkOptions {
  KafkaProducer::Settings settings;
  std::string brokers;
  std::string topic;
  std::size_t batch = 1'000;
  bool samples = true;
  bool alarms = false;
};

// On the loop, but for status(). A batch is confirmed when the brokers have all of it.
class KafkaSink : public ingest::Sink {
 public:
  explicit KafkaSink(KafkaSinkOptions options);

  Result<void> start(rt::Loop& loop) override;
  std::size_t batch_max() const override { return options_.batch; }
  void send(ingest::Batch batch, std::function<void(ingest::Sent)> done) override;
  void stop() override;
  ingest::Status status() const override;

 private:
  struct UnderWay {
    std::uint64_t number = 0;
    std::vector<std::size_t> positions;  // of each message's sample
    std::size_t left = 0;
    ingest::Sent sent;
    std::size_t samples = 0;
    // The first that was not taken, and whether for what was sent together with it.
    std::optional<std::size_t> first_again = std::nullopt;
    std::optional<std::size_t> first_doubtful = std::nullopt;
    std::function<void(ingest::Sent)> done;
  };

  Result<void> open();
  std::vector<KafkaMessage> messages(std::span<const ingest::Sample> samples,
                                     std::vector<std::size_t>& positions) const;
  void reported(std::uint64_t number, std::size_t index, KafkaReport report);
  void finish();
  void set_status(bool connected, std::string detail, std::size_t more);

  const KafkaSinkOptions options_;
  ingest::Portion portion_;
  rt::Loop* loop_ = nullptr;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // gone after stop()
  std::unique_ptr<KafkaProducer> producer_;
  std::uint64_t next_ = 1;
  std::optional<UnderWay> under_way_;
  mutable std::mutex mutex_;  // guards the one below
  ingest::Status status_;
};

std::unique_ptr<ingest::Sink> make_kafka_sink(const std::string& pipeline, const config::Node& kind, config::Map& map,
                                              const ingest::Context& context);

}  // namespace penstock::ext
