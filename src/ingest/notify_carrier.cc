#include "ingest/notify_carrier.h"

#include "ingest/mqtt_publisher.h"
#include "ingest/sample_json.h"
#include "ingest/webhook_signature.h"
#include "mqtt/topic.h"

namespace penstock::ingest {
namespace {

constexpr base::Duration kWebhookTimeout = std::chrono::seconds(10);
constexpr base::Duration kMqttWithin = std::chrono::seconds(10);
constexpr std::size_t kMailsWaitingMax = 64;

class WebhookCarrier : public Carrier {
 public:
  WebhookCarrier(WebhookTarget target, HttpPort* http) : target_(std::move(target)), http_(http) {}

  void send(rt::Loop& loop, const Notice& notice, Done done) override {
    if (http_ == nullptr) return done(fail(Errc::failed_precondition, "this run has no HTTP client"));
    HttpPost post{.url = target_.url, .headers = target_.headers, .body = to_json(notice), .timeout = kWebhookTimeout};
    for (auto& header : target_.signer.headers(post.body, base::system_clock().wall(), notice.id))
      post.headers.push_back(std::move(header));
    http_->post(loop, std::move(post), [done = std::move(done)](Result<int> status) {
      if (!status) return done(std::unexpected(status.error()));
      if (*status >= 200 && *status < 300) return done({});
      const bool never = *status >= 400 && *status < 500 && *status != 408 && *status != 425 && *status != 429;
      const bool elsewhere = *status >= 300 && *status < 400;
      done(fail(never ? Errc::invalid_argument : Errc::unavailable,
                fmt::format(
                    "it answered {}{}", *status,
                    elsewhere ? ": it is somewhere else, and redirects are not followed; write the new address" : "")));
    });
  }

 private:
  WebhookTarget target_;
  HttpPort* http_;
};

class MqttCarrier : public Carrier {
 public:
  explicit MqttCarrier(MqttTarget target) : target_(std::move(target)), publisher_(target_.broker) {}

  void send(rt::Loop& loop, const Notice& notice, Done done) override {
    const AlarmChange& alarm = notice.alarm;
    std::string topic = fill_in(
        target_.topic, {{"pipeline", alarm.pipeline}, {"alarm", alarm.name}, {"device", alarm.device}}, mqtt::as_level);
    publisher_.publish(
        loop, {.topic = std::move(topic), .payload = to_json(notice), .qos = target_.qos, .retain = target_.retain},
        kMqttWithin, std::move(done));
  }

 private:
  MqttTarget target_;
  MqttPublisher publisher_;
};

}  // namespace

std::string to_json(const Notice& notice) {
  std::string out = "{\"id\":";
  json::append_quoted(out, notice.id);
  out += fmt::format(",\"event\":\"{}\",\"time\":\"", notice.event);
  append_time(out, notice.at);
  return out + "\",\"alarm\":" + to_json(notice.alarm) + "}";
}

std::string to_text(const Notice& notice) {
  json::Object alarm{{"raised", notice.alarm.raised}, {"at", notice.alarm.at}};
  json::Object out{{"at", notice.at}};
  for (const auto& [name, value] : {std::pair<const char*, const std::string*>{"pipeline", &notice.alarm.pipeline},
                                    {"name", &notice.alarm.name},
                                    {"device", &notice.alarm.device},
                                    {"why", &notice.alarm.why},
                                    {"severity", &notice.alarm.severity}})
    alarm[name] = *value;
  out["id"] = notice.id;
  out["event"] = notice.event;
  out["alarm"] = std::move(alarm);
  return json::dump(out);
}

Result<Notice> notice_from(std::string_view text) {
  auto value = json::parse(text);
  const json::Value* alarm = value ? json::find(*value, "alarm") : nullptr;
  if (alarm == nullptr || !alarm->is_object())
    return fail(Errc::data_loss, "what was remembered of a notice cannot be read");
  auto word = [](const json::Value& object, std::string_view name) {
    return std::string(json::string_or(object, name, ""));
  };
  return Notice{.id = word(*value, "id"),
                .event = word(*value, "event"),
                .alarm = {.pipeline = word(*alarm, "pipeline"),
                          .name = word(*alarm, "name"),
                          .device = word(*alarm, "device"),
                          .raised = json::bool_or(*alarm, "raised", false),
                          .at = json::int_or(*alarm, "at", 0),
                          .why = word(*alarm, "why"),
                          .severity = word(*alarm, "severity")},
                .at = json::int_or(*value, "at", 0)};
}

std::unique_ptr<Carrier> make_carrier(const NotifyTarget& target, CarrierParts& parts) {
  if (target.webhook) return std::make_unique<WebhookCarrier>(*target.webhook, parts.http);
  if (target.mqtt) return std::make_unique<MqttCarrier>(*target.mqtt);
  if (!parts.pool) parts.pool = std::make_shared<rt::Pool>("mail", 1, kMailsWaitingMax);
  return make_smtp_carrier(*target.smtp, parts.pool);
}

}  // namespace penstock::ingest
