#include "ingest/alarm_config.h"

#include "ingest/post_sink.h"

namespace penstock::ingest {
namespace {

bool is_http(std::string_view url) { return url.starts_with("http://") || url.starts_with("https://"); }

// Addresses go into commands and headers of the mail protocol.
bool is_mail_address(std::string_view text) {
  std::size_t at = text.find('@');
  return at != 0 && at != std::string_view::npos && at + 1 < text.size() && text.size() <= 254 &&
         std::none_of(text.begin(), text.end(), [](unsigned char c) {
           return c <= 0x20 || c == 0x7f || c == '<' || c == '>' || c == ',' || c == ';' || c == '"' || c == '\\';
         });
}

WebhookTarget read_webhook(config::Map& map) {
  WebhookTarget target;
  target.url = map.text("webhook");
  if (!is_http(target.url)) map.get("webhook").problem("the address is http://host/path or https://host/path");
  if (target.url.substr(0, target.url.find('/', 8)).contains('@'))
    map.get("webhook").problem("no credentials in the address: sign with `secret`, or send a header");
  target.headers.emplace_back("content-type", "application/json");
  if (config::Node headers = map.get("headers"); headers.present()) {
    for (const auto& [name, value] : headers.map().entries()) {
      std::string text = value.text();
      if (name.find_first_of(" :\r\n\t") != std::string::npos || text.find_first_of("\r\n") != std::string::npos)
        value.problem("this is no header");
      target.headers.emplace_back(name, std::move(text));
    }
  }
  target.signer = read_webhook_signer(map);
  return target;
}

MqttTarget read_mqtt(config::Map& map) {
  MqttTarget target;
  target.broker = mqtt::read_options(map.get("mqtt"), map);
  target.topic = map.required_text("topic");
  target.qos = static_cast<int>(map.integer("qos", 1, 0, 2));
  target.retain = map.boolean("retain", false);
  if (target.topic.find_first_of("+#") != std::string::npos)
    map.get("topic").problem("a topic to publish to has no + and no #");
  return target;
}

SmtpTarget read_smtp(config::Map& map) {
  SmtpTarget target;
  target.url = map.text("smtp");
  bool secure = target.url.starts_with("smtps://");
  if (!secure && !target.url.starts_with("smtp://"))
    map.get("smtp").problem("the address is smtp://host:587 or smtps://host:465");
  if (target.url.contains('@'))
    map.get("smtp").problem("no credentials in the address: write `username` and `password`");
  target.from = map.required_text("from");
  if (map.has("from") && !is_mail_address(target.from)) map.get("from").problem("this is no mail address");
  map.required("to");
  target.to = map.texts("to");
  for (const std::string& one : target.to) {
    if (!is_mail_address(one)) map.get("to").problem(fmt::format("'{}' is no mail address", one));
  }
  target.username = map.text("username");
  target.password = map.secret("password");
  target.starttls = map.boolean("starttls", true);
  target.ca = map.text("ca");
  if (!secure && !target.starttls && !target.password.empty())
    map.get("starttls").problem("a password would be readable on its way: leave `starttls` on, or use smtps://");
  return target;
}

void read_target(const std::string& name, const config::Node& node, AlarmConfig& config) {
  config::Map map = node.map();
  NotifyTarget target;
  target.name = name;
  target.written = node.dump();
  target.least = rank_of(map.choice("least", {"info", "warning", "critical"}, "info"));
  int kinds =
      static_cast<int>(map.has("webhook")) + static_cast<int>(map.has("mqtt")) + static_cast<int>(map.has("smtp"));
  if (kinds != 1) {
    node.problem("says how to tell somebody in one way: `webhook`, `mqtt` or `smtp`");
    return;
  }
  if (map.has("webhook")) target.webhook = read_webhook(map);
  if (map.has("mqtt")) target.mqtt = read_mqtt(map);
  if (map.has("smtp")) target.smtp = read_smtp(map);
  map.done();
  config.targets.push_back(std::move(target));
}

}  // namespace

int rank_of(std::string_view severity) { return severity == "critical" ? 2 : severity == "warning" ? 1 : 0; }

std::string describe(const NotifyTarget& target) {
  if (target.webhook) return "by webhook at " + shown_url(target.webhook->url);
  if (target.mqtt) return fmt::format("over {} as {}", target.mqtt->broker.address(), target.mqtt->topic);
  return fmt::format("by mail to {} over {}", fmt::join(target.smtp->to, ", "), target.smtp->url);
}

AlarmConfig read_alarm_config(const config::Node& node) {
  AlarmConfig config;
  if (!node.present()) return config;
  config::Map map = node.map();
  if (config::Node flood = map.get("flood"); flood.present()) {
    config::Map limits = flood.map();
    config.flood.most = static_cast<std::size_t>(limits.integer("most", 20, 0, 100'000));
    config.flood.per = limits.duration("per", config.flood.per);
    limits.done();
    if (config.flood.per <= base::Duration::zero())
      flood.problem("`per` is a time such as 1m; `most: 0` switches it off");
  }
  if (config::Node notify = map.get("notify"); notify.present()) {
    for (const auto& [name, target] : notify.map().entries()) read_target(name, target, config);
  }
  map.done();
  return config;
}

}  // namespace penstock::ingest
