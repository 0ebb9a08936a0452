// `alarms:` of a configuration file: what counts as a flood, and who can be told.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/secret.h"
#include "config/document.h"
#include "ingest/alarm_rules.h"
#include "ingest/webhook_signature.h"
#include "mqtt/options.h"

namespace penstock::ingest {

struct WebhookTarget {
  std::string url = {};
  std::vector<std::pair<std::string, std::string>> headers = {};
  WebhookSigner signer = WebhookSigner();
};

struct MqttTarget {
  mqtt::Options broker = {};
  std::string topic = {};  // {pipeline}, {alarm} and {device} are filled in
  int qos = 1;
  bool retain = false;
};

struct SmtpTarget {
  std::string url = {};  // smtp://host:port or smtps://host:port
  std::string from = {};
  std::vector<std::string> to = {};
  std::string username = {};
  base::Secret password = {};
  bool starttls = true;  // with smtp://: nothing is sent without
  std::string ca = {};   // PEM file; empty: the machine's own authorities
};

struct NotifyTarget {
  std::string name = {};
  std::string written = {};                   // canonical text, for telling changes at reload
  int least = 0;                              // of severity: 0 info, 1 warning, 2 critical
  std::optional<WebhookTarget> webhook = {};  // one of the three
  std::optional<MqttTarget> mqtt = {};
  std::optional<SmtpTarget> smtp = {};
};

struct AlarmConfig {
  FloodLimit flood;
  std::vector<NotifyTarget> targets;
  std::vector<std::string> names() const {
    std::vector<std::string> all;
    for (const NotifyTarget& target : targets) all.push_back(target.name);
    return all;
  }
};

// Mistakes are reported on the node.
AlarmConfig read_alarm_config(const config::Node& node);
// "by webhook at https://…", never a secret.
std::string describe(const NotifyTarget& target);
// 0, 1 or 2.
int rank_of(std::string_view severity);

}  // namespace penstock::ingest
