#include "ext/sinks/mqtt/sparkplug_sink.h"

#include "mqtt/topic.h"

namespace penstock::ext {
namespace {

constexpr base::Duration kFarewellWithin = std::chrono::milliseconds(300);

std::uint64_t now_ms() { return static_cast<std::uint64_t>(base::system_clock().wall() / 1000); }

std::string read_level(config::Map& map, const char* key) {
  std::string text = map.required_text(key);
  if (map.has(key) && (text != mqtt::as_level(text) || !mqtt::check_topic(text)))
    map.get(key).problem("one level of a topic: no `/`, `+`, `#`, not empty");
  return text;
}

}  // namespace

SparkplugSink::SparkplugSink(mqtt::Options broker, std::string group, std::string node)
    : node_(std::move(group), std::move(node)),
      connection_(std::move(broker), {{node_.command_topic(), 1}},
                  {.message =
                       [this](const mqtt::Incoming& message) {
                         if (SparkplugNode::asks_for_birth(message.payload)) be_born();
                       },
                   .greeted = [this] { be_born(); },
                   .lost = [this] { node_.lost(); },
                   .will = [this] { return node_.will(); }}) {}

// Before what the connection's thread uses goes.
SparkplugSink::~SparkplugSink() { connection_.stop({}); }

// On the connection's thread, as below. Hosts may ask faster than a node with many devices can say them all.
void SparkplugSink::be_born() {
  std::lock_guard lock(order_);
  if (leaving_) return;
  if (bearing_) {
    bear_again_ = true;
    return;
  }
  bearing_ = true;
  connection_.publish(node_.births(now_ms()), [this](const mqtt::Published& said) { was_born(said.confirmed); });
}

void SparkplugSink::was_born(bool said) {
  bool again = false;
  {
    std::lock_guard lock(order_);
    bearing_ = false;
    again = std::exchange(bear_again_, false) && said;
  }
  if (again) be_born();
}

Result<void> SparkplugSink::start(rt::Loop& loop) {
  loop_ = &loop;
  *running_ = true;
  return connection_.start();
}

void SparkplugSink::send(ingest::Batch batch, std::function<void(ingest::Sent)> done) {
  std::optional<BatchMessages> messages;
  {
    std::lock_guard lock(order_);
    messages = node_.encode(*batch);
    if (messages && !messages->messages.empty())
      return publish(connection_, std::move(*messages), *loop_, running_, std::move(done));
  }
  // Outside the lock: whoever hears it may send again.
  if (!messages) return done({.outcome = ingest::Sent::Outcome::again, .why = connection_.status().detail});
  done(messages->sent({.confirmed = true}));
}

void SparkplugSink::stop() {
  *running_ = false;
  {
    std::lock_guard lock(order_);
    leaving_ = true;
    if (auto death = node_.death()) connection_.publish(std::move(*death));
  }
  connection_.stop(kFarewellWithin);
}

ingest::Status SparkplugSink::status() const {
  mqtt::ConnectionStatus status = connection_.status();
  return {
      .connected = status.connected, .detail = std::move(status.detail), .messages = status.delivered, .dropped = 0};
}

std::unique_ptr<ingest::Sink> make_sparkplug_sink(mqtt::Options broker, const config::Node& node) {
  config::Map map = node.map();
  std::string group = read_level(map, "group");
  std::string name = read_level(map, "node");
  map.done();
  if (broker.will) node.problem("a Sparkplug node has a will of its own: take `will` out");
  return std::make_unique<SparkplugSink>(std::move(broker), std::move(group), std::move(name));
}

}  // namespace penstock::ext
