// A configuration file as the composition root understands it: its own settings, and each lane's part.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "app/admin_access.h"
#include "app/listen_config.h"
#include "app/overload_config.h"
#include "app/privilege.h"
#include "base/registry.h"
#include "broker/broker_config.h"
#include "config/document.h"
#include "device/settings.h"
#include "flow/keys.h"
#include "flow/websocket.h"
#include "http/coded_exchange.h"
#include "http/server.h"
#include "infer/inference_config.h"
#include "infer/model_config.h"
#include "ingest/alarm_config.h"
#include "llm/plan.h"
#include "net/address.h"
#include "net/egress.h"
#include "quota/share.h"
#include "store/response_store.h"
#include "store/usage.h"

namespace penstock::app {

struct GatewayConfig {
  std::vector<ListenConfig> listen;
  http::ServerLimits http;  // of the data listener
  OverloadConfig overload;
  AdminConfig admin;
  SecurityConfig security;
  std::string data_dir;
  store::ResponseLimits responses;
  store::UsageRetention usage;
  std::size_t threads = 1;
  bool io_uring = true;                                     // where the kernel offers it
  base::Duration drain_timeout = std::chrono::seconds(20);  // for answers under way after SIGTERM
  base::Duration drain_delay{};                             // between not being ready any more and accepting no more
  bool insecure = false;
  bool guide = false;       // print addresses, a key and commands to try after the start
  std::string dns_servers;  // as net::Resolver takes them; empty: the system's
  net::Egress egress;
  std::vector<std::string> filters;
  http::Compression compression;
  flow::WebSocketPolicy websocket;
  std::vector<flow::TeamSpec> teams;
  std::vector<flow::DeclaredKey> keys;
  quota::Rules addresses;  // of each client address
  std::shared_ptr<const llm::Plan> llm;
  infer::InferenceConfig inference;
  std::vector<infer::ModelConfig> models;
  std::optional<quota::ShareConfig> shared;  // with other gateways
  ingest::AlarmConfig alarms;
  std::optional<broker::BrokerConfig> broker;  // the embedded one
  device::Settings devices;
};

// Reads everything but the device lane's keys, which are left for it on `root`; the caller calls root.done(). Mistakes
// are reported on the document.
GatewayConfig read_gateway_config(config::Map& root, const base::Registry& registry, const SocketNames& names = {});
// Gives the models that are pulled their folders in data_dir.
void place_pulled_models(GatewayConfig& config);
// Somebody on another machine can reach a data listener.
bool serves_outside(const GatewayConfig& config);

}  // namespace penstock::app
