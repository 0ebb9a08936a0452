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
      bool later = *status >= 500 || *status == 429 || *status == 408;
      done(fail(later ? Errc::unavailable : Errc::invalid_argument, fmt::format("it answered {}", *status)));
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

std::unique_ptr<Carrier> make_carrier(const NotifyTarget& target, CarrierParts& parts) {
  if (target.webhook) return std::make_unique<WebhookCarrier>(*target.webhook, parts.http);
  if (target.mqtt) return std::make_unique<MqttCarrier>(*target.mqtt);
  if (!parts.pool) parts.pool = std::make_shared<rt::Pool>("mail", 1, kMailsWaitingMax);
  return make_smtp_carrier(*target.smtp, parts.pool);
}

}  // namespace penstock::ingest
