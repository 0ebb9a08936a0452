// Samples as messages of a Kafka topic.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "ext/sinks/kafka/producer.h"
#include "ingest/contracts.h"

namespace penstock::ext {

struct KafkaSinkOptions {
  KafkaProducer::Settings settings;
  std::string brokers;
  std::string topic;
  std::size_t batch = 1'000;
  bool samples = true;
  bool alarms = false;
};

// On the loop, but for status(). A batch is confirmed when the brokers have all of it. A broker refuses a request as a
// whole: its batch is sent again with a request for each message, which shows who it was about.
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
    std::size_t bytes = 0;               // of all messages
    std::size_t left = 0;
    bool request_refused = false;
    ingest::Sent sent;
    std::size_t samples = 0;
    std::function<void(ingest::Sent)> done;
  };

  Result<void> open();
  std::vector<KafkaMessage> messages(const std::vector<ingest::Sample>& samples,
                                     std::vector<std::size_t>& positions) const;
  void reported(std::uint64_t number, std::size_t index, KafkaReport report);
  void finish();
  void set_status(bool connected, std::string detail, std::size_t more);

  const KafkaSinkOptions options_;
  rt::Loop* loop_ = nullptr;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // gone after stop()
  std::unique_ptr<KafkaProducer> producer_;
  // The library's own bound of a request; smaller once a broker took one by one what it had refused together.
  std::size_t request_bytes_ = 1'000'000;
  bool one_by_one_ = false;
  std::uint64_t next_ = 1;
  std::optional<UnderWay> under_way_;
  mutable std::mutex mutex_;  // guards the one below
  ingest::Status status_;
};

std::unique_ptr<ingest::Sink> make_kafka_sink(const std::string& pipeline, const config::Node& kind, config::Map& map,
                                              const ingest::Context& context);

}  // namespace penstock::ext
