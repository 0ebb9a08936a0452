#include "ext/steps/do/deed.h"

#include <charconv>
#include <cmath>

#include "ingest/mqtt_publisher.h"
#include "ingest/post_sink.h"
#include "ingest/sample_json.h"
#include "ingest/webhook_signature.h"
#include "mqtt/options.h"
#include "mqtt/topic.h"

namespace penstock::ext::steps {

using ingest::Value;

namespace {

constexpr std::size_t kWritesMax = 16;
// Devices hold single precision: what is read back differs from what was written in the eighth digit.
constexpr double kSlack = 1e-6;

std::optional<double> number_of(const Value& value) {
  if (const auto* boolean = std::get_if<bool>(&value)) return *boolean ? 1 : 0;
  if (const auto* integer = std::get_if<std::int64_t>(&value)) return static_cast<double>(*integer);
  if (const auto* number = std::get_if<double>(&value)) return *number;
  return std::nullopt;
}

}  // namespace

std::string text_of(const Value& value) {
  if (const auto* boolean = std::get_if<bool>(&value)) return *boolean ? "true" : "false";
  if (const auto* integer = std::get_if<std::int64_t>(&value)) return std::to_string(*integer);
  if (const auto* number = std::get_if<double>(&value)) return fmt::format("{}", *number);
  if (const auto* text = std::get_if<std::string>(&value)) return *text;
  return "an array";
}

Value value_of(const std::string& text) {
  if (text == "true" || text == "false") return text == "true";
  const char* end = text.data() + text.size();
  std::int64_t integer = 0;
  if (auto read = std::from_chars(text.data(), end, integer); read.ec == std::errc() && read.ptr == end) return integer;
  double number = 0;
  if (auto read = std::from_chars(text.data(), end, number); read.ec == std::errc() && read.ptr == end) return number;
  return text;
}

bool Wanted::met_by(const Value& read) const {
  auto a = number_of(value);
  auto b = number_of(read);
  if (!a || !b) return value == read;
  return std::abs(*a - *b) <= std::max(within, kSlack * std::max(1.0, std::abs(*a)));
}

namespace {

class WriteDeed : public Deed {
 public:
  WriteDeed(Wanted wanted, base::Duration within) : wanted_(std::move(wanted)), timeout_(within) {}

  std::string text() const override { return fmt::format("{} = {}", wanted_.name(), text_of(wanted_.value)); }
  std::optional<Wanted> wanted() const override { return wanted_; }
  bool possible(const ingest::Context& context) const override { return context.writes != nullptr; }

  void make(rt::Loop& loop, const ingest::Context& context, const Cause&, Done done) override {
    ingest::PointWrite write{
        .source = wanted_.source, .point = wanted_.point, .value = wanted_.value, .timeout = timeout_};
    context.writes->write(loop, std::move(write), [wanted = wanted_, done = std::move(done)](Result<Value> read) {
      if (!read) return done(std::unexpected(read.error()));
      if (wanted.met_by(*read)) return done(fmt::format("{} reads {}", wanted.name(), text_of(*read)));
      done(fail(Errc::failed_precondition,
                fmt::format("{} was set to {} and reads {}", wanted.name(), text_of(wanted.value), text_of(*read))));
    });
  }

 private:
  Wanted wanted_;
  base::Duration timeout_;
};

std::vector<std::pair<std::string_view, std::string_view>> values_of(const Cause& cause) {
  return {{"device", cause.device}, {"pipeline", cause.pipeline}, {"alarm", cause.alarm}, {"id", cause.id}};
}

std::string body_of(const std::string& given, const Cause& cause) {
  if (!given.empty()) {
    return ingest::fill_in(given, values_of(cause), [](std::string_view value) {
      std::string out;
      json::append_escaped(out, value);
      return out;
    });
  }
  std::string out = "{\"id\":";
  json::append_quoted(out, cause.id);
  for (const auto& [name, value] : {std::pair<const char*, const std::string*>{"action", &cause.action},
                                    {"pipeline", &cause.pipeline},
                                    {"device", &cause.device},
                                    {"alarm", &cause.alarm},
                                    {"why", &cause.why}}) {
    out += fmt::format(",\"{}\":", name);
    json::append_quoted(out, *value);
  }
  out += cause.raised ? ",\"raised\":true,\"at\":\"" : ",\"raised\":false,\"at\":\"";
  ingest::append_time(out, cause.at);
  return out + "\"}";
}

class PublishDeed : public Deed {
 public:
  PublishDeed(mqtt::Options broker, std::string topic, std::string payload, int qos, bool retain, base::Duration within)
      : publisher_(std::move(broker)),
        topic_(std::move(topic)),
        payload_(std::move(payload)),
        qos_(qos),
        retain_(retain),
        within_(within) {}

  std::string text() const override { return fmt::format("publish {} at {}", topic_, publisher_.address()); }
  // Connected before it is needed.
  void prepare(const ingest::Context& context) override {
    if (possible(context)) (void)publisher_.open();
  }
  // A run that may write nothing sends nothing either.
  bool possible(const ingest::Context& context) const override { return !context.data_dir.empty(); }

  void make(rt::Loop& loop, const ingest::Context&, const Cause& cause, Done done) override {
    std::string topic = ingest::fill_in(topic_, values_of(cause), mqtt::as_level);
    mqtt::Outgoing message{.topic = topic, .payload = body_of(payload_, cause), .qos = qos_, .retain = retain_};
    publisher_.publish(loop, std::move(message), within_, [topic, done = std::move(done)](Result<void> published) {
      if (!published) return done(std::unexpected(published.error()));
      done("published " + topic);
    });
  }

 private:
  ingest::MqttPublisher publisher_;
  std::string topic_, payload_;
  int qos_;
  bool retain_;
  base::Duration within_;
};

class CallDeed : public Deed {
 public:
  CallDeed(ingest::HttpPost post, ingest::WebhookSigner signer) : post_(std::move(post)), signer_(std::move(signer)) {}

  std::string text() const override { return "call " + ingest::shown_url(post_.url); }
  bool possible(const ingest::Context& context) const override { return context.http != nullptr; }

  void make(rt::Loop& loop, const ingest::Context& context, const Cause& cause, Done done) override {
    ingest::HttpPost post = post_;
    post.body = body_of(post_.body, cause);
    for (auto& header : signer_.headers(post.body, cause.at, cause.id)) post.headers.push_back(std::move(header));
    post.headers.emplace_back("idempotency-key", cause.id);
    std::string url = ingest::shown_url(post_.url);
    context.http->post(loop, std::move(post), [url, done = std::move(done)](Result<int> status) {
      if (!status) return done(std::unexpected(status.error()));
      if (*status >= 200 && *status < 300) return done(fmt::format("{} answered {}", url, *status));
      done(fail(Errc::failed_precondition, fmt::format("{} answered {}", url, *status)));
    });
  }

 private:
  ingest::HttpPost post_;
  ingest::WebhookSigner signer_;
};

// `plc.stop: true`, or `plc.speed: { value: 12.5, within: 0.1 }`.
void read_write(const std::string& target, const config::Node& node, base::Duration timeout,
                std::vector<std::shared_ptr<Deed>>& deeds) {
  std::size_t dot = target.find('.');
  if (dot == 0 || dot == std::string::npos || dot + 1 == target.size()) {
    node.problem(
        fmt::format("'{}' is no point: write the source's name, a dot and the point's, such as plc.stop", target));
    return;
  }
  Wanted wanted{.source = target.substr(0, dot), .point = target.substr(dot + 1)};
  if (node.kind() == config::Node::Kind::map) {
    config::Map map = node.map();
    wanted.value = value_of(map.required_text("value"));
    wanted.within = map.number("within", 0);
    if (!std::isfinite(wanted.within) || wanted.within < 0)
      map.get("within").problem("write how far what is read may be off, such as 0.1: not below zero, and not infinite");
    map.done();
  } else {
    wanted.value = value_of(node.text());
  }
  deeds.push_back(std::make_shared<WriteDeed>(std::move(wanted), timeout));
}

std::shared_ptr<Deed> read_publish(const config::Node& node, base::Duration timeout) {
  config::Map map = node.map();
  mqtt::Options broker = mqtt::read_options(map.get("url"), map);
  std::string topic = map.required_text("topic");
  std::string payload = map.text("payload");
  int qos = static_cast<int>(map.integer("qos", 1, 0, 2));
  bool retain = map.boolean("retain", false);
  map.done();
  std::string sample = ingest::fill_in(topic, values_of({}), mqtt::as_level);
  if (auto good = mqtt::check_topic(sample); !good && !topic.empty()) map.get("topic").problem(good.error().detail);
  return std::make_shared<PublishDeed>(std::move(broker), std::move(topic), std::move(payload), qos, retain, timeout);
}

std::shared_ptr<Deed> read_call(const config::Node& node, base::Duration timeout) {
  config::Map map = node.map();
  ingest::HttpPost post{.url = ingest::read_post_url(map),
                        .headers = ingest::read_post_headers(map, "application/json"),
                        .body = map.text("body"),
                        .timeout = timeout,
                        .once = true};
  ingest::WebhookSigner signer = ingest::read_webhook_signer(map);
  map.done();
  return std::make_shared<CallDeed>(std::move(post), std::move(signer));
}

}  // namespace

std::vector<std::shared_ptr<Deed>> read_deeds(config::Map& map, base::Duration confirm_within) {
  std::vector<std::shared_ptr<Deed>> deeds;
  if (config::Node write = map.get("write"); write.present()) {
    for (const auto& [target, node] : write.map().entries()) read_write(target, node, confirm_within, deeds);
    if (deeds.size() > kWritesMax) write.problem(fmt::format("an action sets at most {} points", kWritesMax));
  }
  if (config::Node publish = map.get("publish"); publish.present())
    deeds.push_back(read_publish(publish, confirm_within));
  if (config::Node call = map.get("call"); call.present()) deeds.push_back(read_call(call, confirm_within));
  return deeds;
}

}  // namespace penstock::ext::steps
