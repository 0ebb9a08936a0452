#include "ext/sinks/kafka/kafka_sink.h"

#include "ingest/sample_json.h"

namespace penstock::ext {
namespace {

using namespace std::chrono_literals;

constexpr std::int64_t kBatchMax = 10'000;
constexpr std::size_t kTopicBytesMax = 249;  // of Kafka itself
constexpr base::Duration kTimeout = 30s;

std::string read_topic(config::Map& map) {
  std::string topic = map.required_text("topic");
  const bool plain = std::all_of(topic.begin(), topic.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
           c == '.';
  });
  if (map.has("topic") && (!plain || topic.empty() || topic.size() > kTopicBytesMax || topic == "." || topic == "..")) {
    map.get("topic").problem("a topic has up to 249 letters, digits, '-', '_' and '.'");
  }
  return topic;
}

std::string read_brokers(config::Map& map) {
  std::string brokers;
  for (const std::string& one : map.texts("brokers")) {
    if (one.empty() || one.find_first_of(", /@") != std::string::npos) {
      map.get("brokers").problem("a broker is host:port; several are a list");
    }
    brokers += (brokers.empty() ? "" : ",") + one;
  }
  if (!map.has("brokers")) map.required("brokers");
  return brokers;
}

// TLS and who we are: https://github.com/confluentinc/librdkafka/blob/master/CONFIGURATION.md
void read_security(config::Map& map, KafkaProducer::Settings& settings) {
  const config::Node tls = map.get("tls");
  const std::string user = map.text("username");
  const base::Secret password = map.secret("password");
  const std::string mechanism = map.choice("mechanism", {"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"}, "SCRAM-SHA-512");
  const bool encrypted = tls.present();
  if (encrypted) {
    config::Map keys = tls.map();
    const std::pair<const char*, const char*> files[] = {
        {"ca", "ssl.ca.location"}, {"cert", "ssl.certificate.location"}, {"key", "ssl.key.location"}};
    for (const auto& [key, name] : files) {
      if (std::string file = keys.text(key); !file.empty()) settings.emplace_back(name, std::move(file));
    }
    keys.done();
  }
  const bool named = !user.empty();
  settings.emplace_back("security.protocol",
                        fmt::format("{}{}", named ? "sasl_" : "", encrypted ? "ssl" : "plaintext"));
  if (!named) return;
  settings.emplace_back("sasl.mechanism", mechanism);
  settings.emplace_back("sasl.username", user);
  settings.emplace_back("sasl.password", password.reveal());
}

}  // namespace

KafkaSink::KafkaSink(KafkaSinkOptions options)
    : options_(std::move(options)), status_{.detail = "nothing sent yet to " + options_.brokers} {}

// The library is opened with the first batch: a gateway whose machine lacks it starts, and says so.
Result<void> KafkaSink::start(rt::Loop& loop) {
  loop_ = &loop;
  return {};
}

Result<void> KafkaSink::open() {
  if (producer_ && producer_->broken()) producer_.reset();
  if (producer_) return {};
  auto settings = options_.settings;
  if (one_by_one_) {
    settings.emplace_back("batch.num.messages", "1");
  } else {
    settings.emplace_back("batch.size", std::to_string(request_bytes_));
  }
  auto made =
      KafkaProducer::create(*loop_, settings, [this](std::uint64_t batch, std::size_t index, KafkaReport report) {
        reported(batch, index, std::move(report));
      });
  if (!made) return std::unexpected(made.error());
  producer_ = std::move(*made);
  return {};
}

std::vector<KafkaMessage> KafkaSink::messages(const std::vector<ingest::Sample>& samples,
                                              std::vector<std::size_t>& positions) const {
  std::vector<KafkaMessage> out;
  for (std::size_t i = 0; i < samples.size(); ++i) {
    const ingest::Sample& sample = samples[i];
    const auto add = [&](std::string value) {
      KafkaMessage& message = out.emplace_back();
      message.key = sample.device;
      message.value = std::move(value);
      message.time_millis = std::max<std::int64_t>(0, sample.event_time / 1'000);
      if (sample.sequence != 0 && sample.origin) {
        message.headers = {{"origin", *sample.origin}, {"seq", std::to_string(sample.sequence)}};
      }
      positions.push_back(i);
    };
    if (options_.samples) add(ingest::to_json(sample));
    if (options_.alarms && sample.alarm) add(ingest::to_json(*sample.alarm));
  }
  return out;
}

void KafkaSink::send(ingest::Batch batch, std::function<void(ingest::Sent)> done) {
  if (auto ready = open(); !ready) {
    set_status(false, ready.error().detail, 0);
    return done({.outcome = ingest::Sent::Outcome::again, .why = ready.error().detail});
  }
  UnderWay under_way;
  under_way.number = next_++;
  under_way.samples = batch->size();
  under_way.done = std::move(done);
  auto out = messages(*batch, under_way.positions);
  if (out.empty()) return under_way.done({});
  for (const KafkaMessage& message : out) under_way.bytes += message.key.size() + message.value.size();
  under_way.left = out.size();
  const std::uint64_t number = under_way.number;
  under_way_ = std::move(under_way);
  producer_->produce(options_.topic, number, std::move(out));
}

void KafkaSink::reported(std::uint64_t number, std::size_t index, KafkaReport report) {
  using Outcome = KafkaReport::Outcome;
  if (!under_way_ || under_way_->number != number || under_way_->left == 0) return;
  UnderWay& batch = *under_way_;
  if (report.outcome == Outcome::request_refused && (one_by_one_ || batch.positions.size() == 1)) {
    report.outcome = Outcome::refused;
  }
  if (report.outcome != Outcome::taken) batch.sent.why = std::move(report.why);
  if (report.outcome == Outcome::again) batch.sent.outcome = ingest::Sent::Outcome::again;
  if (report.outcome == Outcome::refused) batch.sent.rejected.push_back(batch.positions.at(index));
  batch.request_refused = report.outcome == Outcome::request_refused;
  // At once, before the library sends more of what comes behind: the order is to be kept.
  batch.left = batch.request_refused ? 0 : batch.left - 1;
  if (batch.left > 0) return;
  // Not from within the library: what is told may send again or stop.
  loop_->post([this, alive = std::weak_ptr<bool>(alive_)] {
    if (!alive.expired()) finish();
  });
}

void KafkaSink::finish() {
  UnderWay ended = std::move(*under_way_);
  under_way_.reset();
  if (ended.request_refused) {
    ended.sent.outcome = ingest::Sent::Outcome::again;
    one_by_one_ = true;
    producer_.reset();
  }
  const bool confirmed = ended.sent.outcome == ingest::Sent::Outcome::confirmed;
  if (confirmed && one_by_one_) {
    one_by_one_ = false;
    // Each of them is good: together they were too large.
    if (ended.sent.rejected.empty())
      request_bytes_ = std::max<std::size_t>(1, std::min(request_bytes_, ended.bytes) / 2);
    producer_.reset();
  }
  std::sort(ended.sent.rejected.begin(), ended.sent.rejected.end());
  set_status(confirmed,
             ended.sent.why.empty() ? "sending to " + options_.brokers : options_.brokers + ": " + ended.sent.why,
             confirmed ? ended.samples - ended.sent.rejected.size() : 0);
  ended.done(std::move(ended.sent));
}

void KafkaSink::stop() {
  alive_.reset();
  under_way_.reset();
  producer_.reset();
}

void KafkaSink::set_status(bool connected, std::string detail, std::size_t more) {
  std::lock_guard lock(mutex_);
  status_.connected = connected;
  status_.detail = std::move(detail);
  status_.messages += more;
}

ingest::Status KafkaSink::status() const {
  std::lock_guard lock(mutex_);
  return status_;
}

std::unique_ptr<ingest::Sink> make_kafka_sink(const std::string&, const config::Node&, config::Map& map,
                                              const ingest::Context&) {
  KafkaSinkOptions options;
  options.brokers = read_brokers(map);
  options.topic = read_topic(map);
  options.batch = static_cast<std::size_t>(map.integer("batch", 1'000, 1, kBatchMax));
  const std::string what = map.choice("what", {"samples", "alarms", "all"}, "samples");
  options.samples = what != "alarms";
  options.alarms = what != "samples";
  const auto timeout = std::chrono::duration_cast<std::chrono::milliseconds>(map.duration("timeout", kTimeout)).count();
  if (timeout < 1'000) map.get("timeout").problem("at least 1s");
  options.settings = {
      {"bootstrap.servers", options.brokers},
      {"client.id", "penstock"},
      {"enable.idempotence",
       "true"},  // acks of all in-sync replicas, order kept, the library's own retries no duplicates
      {"message.timeout.ms", std::to_string(timeout)},
      {"linger.ms", "2"},
      {"compression.type", map.choice("compress", {"none", "gzip", "snappy", "lz4", "zstd"}, "none")},
      // As Kafka's Java clients: what they and we write under one key comes into one partition.
      {"partitioner",
       map.choice("partitioner", {"murmur2_random", "consistent_random", "fnv1a_random"}, "murmur2_random")},
      {"log_level", "0"},
      {"topic.metadata.refresh.interval.ms", "60000"},
  };
  read_security(map, options.settings);
  return std::make_unique<KafkaSink>(std::move(options));
}

}  // namespace penstock::ext
