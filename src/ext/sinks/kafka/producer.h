// An idempotent Kafka producer whose reports come on a loop. Everything is on that loop.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "rt/loop.h"

struct rd_kafka_s;
struct rd_kafka_message_s;

namespace penstock::ext {

struct Librdkafka;

struct KafkaMessage {
  std::string key;
  std::string value;
  std::int64_t time_millis = 0;
  std::vector<std::pair<std::string, std::string>> headers;
};

// What became of one message.
struct KafkaReport {
  enum class Outcome : std::uint8_t {
    taken,
    again,
    refused,          // this message, for good
    request_refused,  // for good by the broker, with all that were in one request with it: any of them, or their sum
  };
  Outcome outcome = Outcome::taken;
  std::string why;
};

class KafkaProducer : private rt::Listener {
 public:
  using Settings = std::vector<std::pair<std::string, std::string>>;  // librdkafka's own names
  // `index` is the message's place in what was given to produce() under `batch`.
  using Reported = std::function<void(std::uint64_t batch, std::size_t index, KafkaReport report)>;

  // Opens the library. Errors: unavailable (no library), invalid_argument (a setting).
  static Result<std::unique_ptr<KafkaProducer>> create(rt::Loop& loop, const Settings& settings, Reported reported);
  ~KafkaProducer() override;
  KafkaProducer(const KafkaProducer&) = delete;
  KafkaProducer& operator=(const KafkaProducer&) = delete;

  // Every message is reported once, those that are refused here too, perhaps during the call.
  void produce(const std::string& topic, std::uint64_t batch, std::vector<KafkaMessage> messages);
  // The library gave up for good (the order of messages could not be kept): make another producer.
  bool broken() const { return broken_; }
  // The last trouble with a broker; empty when there was none since the last message that was taken.
  const std::string& trouble() const { return trouble_; }

 private:
  KafkaProducer(rt::Loop& loop, const Librdkafka& lib, Reported reported);
  Result<void> open(const Settings& settings);
  void on_ready(bool readable, bool writable, bool hang_up) override;
  void serve();
  void report(std::uint64_t batch, std::size_t index, int error, bool by_broker);
  static void delivered(rd_kafka_s* handle, const rd_kafka_message_s* message, void* self);

  rt::Loop& loop_;
  const Librdkafka& lib_;
  const Reported reported_;
  rd_kafka_s* handle_ = nullptr;
  int event_fd_ = -1;
  bool broken_ = false;
  std::string trouble_;
};

}  // namespace penstock::ext
