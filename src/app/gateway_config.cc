#include "app/gateway_config.h"

#include "app/model_pull.h"

#include "config/timeout.h"
#include "flow/dialect.h"
#include "flow/filter.h"

namespace penstock::app {
namespace {

std::uint64_t read_bound(config::Map& map, std::string_view key, std::uint64_t fallback, std::uint64_t least,
                         std::uint64_t most) {
  std::uint64_t value = map.size(key, fallback);
  if (value >= least && value <= most) return value;
  map.get(key).problem(fmt::format("between {} and {} is possible", base::format_size(least), base::format_size(most)));
  return fallback;
}

http::ServerLimits read_http(const config::Node& node) {
  http::ServerLimits limits;
  // No API takes more; each has its own, smaller limit.
  limits.message.body_bytes_max = 1ULL << 30;
  if (!node.present()) return limits;
  config::Map map = node.map();
  wire::Http1Limits& message = limits.message;
  message.line_bytes_max = read_bound(map, "request_line_max", message.line_bytes_max, 128, 1ULL << 20);
  message.head_bytes_max = read_bound(map, "head_max", message.head_bytes_max, 1024, 16ULL << 20);
  message.body_bytes_max = read_bound(map, "body_max", message.body_bytes_max, 1, 1ULL << 40);
  if (message.head_bytes_max < message.line_bytes_max)
    map.get("head_max").problem("the head contains the request line: `head_max` is at least `request_line_max`");
  limits.head_timeout = config::read_timeout(map, "head_timeout", limits.head_timeout);
  limits.body_timeout = config::read_timeout(map, "body_timeout", limits.body_timeout);
  limits.idle_timeout = config::read_timeout(map, "idle_timeout", limits.idle_timeout);
  limits.write_timeout = config::read_timeout(map, "write_timeout", limits.write_timeout);
  limits.h2_streams_max = static_cast<std::uint32_t>(map.integer("h2_streams_max", limits.h2_streams_max, 1, 10'000));
  limits.body_rate_min = read_bound(map, "body_rate_min", limits.body_rate_min, 0, 1ULL << 30);
  limits.answer_rate_min = read_bound(map, "answer_rate_min", limits.answer_rate_min, 0, 1ULL << 30);
  map.done();
  return limits;
}

void read_models(const config::Node& node, GatewayConfig& config,
                 std::vector<std::pair<std::string, config::Node>>& routes) {
  if (!node.present()) return;
  config::Map models = node.map();
  for (const auto& [name, entry] : models.entries()) {
    config::Map map = entry.map();
    bool local = map.has("path") || map.has("pull");
    if (local == map.has("route")) {
      entry.problem(
          "a model has either a `route` (who answers), or a `path` (a local model's folder) or `pull` (where its files "
          "come "
          "from)");
    } else if (local) {
      config::Map fresh = entry.map();
      config.models.push_back(infer::parse_model(fresh, name));
      fresh.done();
      if (config.models.back().embed) routes.emplace_back(name, entry);
    } else {
      routes.emplace_back(name, entry);
    }
  }
}

std::size_t read_threads(const config::Node& node) {
  std::size_t cores = std::max(1U, std::thread::hardware_concurrency());
  if (!node.present() || node.text() == "auto") return cores;
  return static_cast<std::size_t>(node.integer(1, 1, 256));
}

// Finer rows are not kept longer than the coarser ones that they are part of.
store::UsageRetention read_usage(const config::Node& node) {
  store::UsageRetention keep;
  if (!node.present()) return keep;
  config::Map map = node.map();
  auto read = [&](const char* name, base::Duration otherwise) {
    base::Duration kept = map.duration(name, otherwise);
    if (kept < std::chrono::days(1) || kept > std::chrono::days(36'500))
      map.get(name).problem("usage is kept for at least 1d and at most 36500d");
    return kept;
  };
  keep.days = read("keep", keep.days);
  keep.hours = read("keep_hours", std::min(keep.hours, keep.days));
  keep.minutes = read("keep_minutes", std::min(keep.minutes, keep.hours));
  if (keep.hours > keep.days) map.get("keep_hours").problem("is longer than `keep`, which is of the rows per day");
  if (keep.minutes > keep.hours)
    map.get("keep_minutes").problem("is longer than `keep_hours`: rows per minute are kept shortest");
  map.done();
  return keep;
}

store::ResponseLimits read_responses(const config::Node& node) {
  store::ResponseLimits limits;
  if (!node.present()) return limits;
  config::Map map = node.map();
  limits.keep = map.duration("keep", limits.keep);
  if (limits.keep < std::chrono::seconds(1) || limits.keep > std::chrono::hours(24 * 3650))
    map.get("keep").problem("from a second to ten years is possible; `max: 0` keeps none");
  limits.count = map.integer("max", limits.count, 0, 100'000'000);
  limits.bytes = read_bound(map, "max_bytes", limits.bytes, 1ULL << 20, 1ULL << 40);
  map.done();
  return limits;
}

std::vector<std::string> read_filters(const config::Node& node, const base::Registry& registry) {
  if (!node.present()) return {"keys", "limits"};
  std::vector<std::string> names;
  for (const config::Node& item : node.items()) {
    std::string name = item.text();
    if (registry.find<flow::FilterFactory>(name) == nullptr) {
      item.problem(fmt::format("there is no filter '{}'; there are: {}", name,
                               fmt::join(registry.names<flow::FilterFactory>(), ", ")));
    } else {
      names.push_back(std::move(name));
    }
  }
  return names;
}

std::string read_dns(const config::Node& node) {
  std::string servers;
  if (!node.present()) return servers;
  config::Map map = node.map();
  for (const config::Node& item : map.required("servers").items()) {
    std::string text = item.text();
    auto address = net::parse_host_port(text, 53);
    auto endpoint = address ? net::parse_endpoint(*address) : Result<net::Endpoint>(std::unexpected(address.error()));
    if (!endpoint) {
      item.problem(endpoint.error().detail);
      continue;
    }
    servers += (servers.empty() ? "" : ",") + endpoint->text();
  }
  map.done();
  return servers;
}

flow::WebSocketPolicy read_websocket(const config::Node& node) {
  flow::WebSocketPolicy policy;
  if (!node.present()) return policy;
  config::Map map = node.map();
  http::WebSocketOptions& options = policy.options;
  options.message_bytes_max = read_bound(map, "message_max", options.message_bytes_max, 1024, 1ULL << 30);
  options.compressed_bytes_max =
      read_bound(map, "compressed_message_max", options.compressed_bytes_max, 1024, 1ULL << 30);
  options.ping_after = config::read_timeout(map, "ping", options.ping_after);
  options.pong_within = config::read_timeout(map, "pong_timeout", options.pong_within);
  options.idle_timeout = config::read_timeout(map, "idle_timeout", options.idle_timeout);
  options.write_timeout = config::read_timeout(map, "write_timeout", options.write_timeout);
  std::string compression = map.choice("compression", {"on", "context", "off"}, "on");
  options.deflate = {.enabled = compression != "off", .context_takeover = compression == "context"};
  policy.per_key = map.integer("per_key", policy.per_key, 1, 1'000'000);
  policy.origins = map.texts("origins");
  map.done();
  return policy;
}

net::Egress read_egress(const config::Node& node) {
  if (!node.present()) return {};
  config::Map map = node.map();
  net::Egress egress(read_networks(map.get("allow")), read_networks(map.get("deny")));
  map.done();
  return egress;
}

quota::Rules read_addresses(const config::Node& node) {
  if (!node.present()) return {};
  config::Map map = node.map();
  quota::Rules rules = quota::parse_rules(map);
  map.done();
  return rules;
}

http::Compression read_compression(const config::Node& node) {
  http::Compression compression;
  if (!node.present()) return compression;
  config::Map map = node.map();
  compression.responses = map.boolean("responses", compression.responses);
  compression.min_bytes = static_cast<std::uint64_t>(map.integer("min_bytes", 2048, 0, 1 << 30));
  config::Node codings = map.get("codings");
  if (codings.present()) {
    compression.codings.clear();
    for (const config::Node& item : codings.items()) {
      std::string name = item.choice({"zstd", "br", "gzip", "deflate"}, "gzip");
      compression.codings.push_back(codec::parse_content_encoding(name)->front());
    }
    if (compression.codings.empty())
      codings.problem("the list is empty; to send answers as they are, write `responses: false`");
  }
  map.done();
  return compression;
}

}  // namespace

namespace {

llm::PlanTerms read_terms(config::Map& root) {
  llm::PlanTerms terms;
  terms.prices = price::Catalog::read(root.get("prices"));
  config::Node accounting = root.get("accounting");
  if (!accounting.present()) return terms;
  config::Map map = accounting.map();
  terms.output_assumed = map.integer("output_assumed", terms.output_assumed, 16, 1'000'000);
  map.done();
  return terms;
}

}  // namespace

bool serves_outside(const GatewayConfig& config) {
  return std::any_of(config.listen.begin(), config.listen.end(),
                     [](const ListenConfig& listen) { return !listen.endpoint.is_loopback(); });
}

void place_pulled_models(GatewayConfig& config) {
  for (infer::ModelConfig& model : config.models) {
    if (!model.origin.pull.empty()) model.path = ModelPull::folder_of(config.data_dir, model.name);
  }
}

GatewayConfig read_gateway_config(config::Map& root, const base::Registry& registry, const SocketNames& names) {
  GatewayConfig config;
  config::Node listen = root.get("listen");
  config.listen = read_listeners(listen, names);
  config.http = read_http(root.get("http"));
  config.security = read_security(root.get("security"));
  config.data_dir = root.text("data_dir", "./var");
  config.responses = read_responses(root.get("responses"));
  config.usage = read_usage(root.get("usage"));
  config.threads = read_threads(root.get("threads"));
  config.overload = read_overload(root.get("overload"), config.threads);
  config.io_uring = root.boolean("io_uring", true);
  config.drain_timeout = config::read_timeout(root, "drain_timeout", config.drain_timeout);
  config.drain_delay = root.duration("drain_delay", config.drain_delay);
  config.insecure = root.boolean("insecure", false);
  config.admin = read_admin(root.get("admin"), config.insecure);
  config.guide = root.boolean("guide", false);
  config.dns_servers = read_dns(root.get("dns"));
  config.egress = read_egress(root.get("egress"));
  config.filters = read_filters(root.get("filters"), registry);
  config.shared = quota::parse_shared(root.get("shared"), registry);
  config.devices = device::parse_settings(root.get("devices"));
  config.compression = read_compression(root.get("compression"));
  config.alarms = ingest::read_alarm_config(root.get("alarms"));
  config.websocket = read_websocket(root.get("websocket"));
  const std::vector<std::string> apis = registry.names<flow::ApiFactory>();
  config.teams = flow::parse_teams(root.get("teams"), apis);
  if (config::Node keys = root.get("keys"); keys.present()) config.keys = flow::parse_keys(keys, apis, config.teams);
  config.addresses = read_addresses(root.get("addresses"));
  if (std::find(config.filters.begin(), config.filters.end(), "keys") == config.filters.end() && !config.insecure) {
    root.get("filters").problem(
        "without the filter 'keys' nobody's key is checked; add it, or write `insecure: true` to let everybody in");
  }
  std::vector<std::pair<std::string, config::Node>> routes;
  config.inference = infer::parse_inference(root);
  read_models(root.get("models"), config, routes);
  config.llm = llm::Plan::parse(root.get("providers"), routes, registry, read_terms(root));
  for (const ListenConfig& one : config.listen) {
    if (!one.endpoint.is_loopback() && !one.tls && !config.insecure) {
      listen.problem(
          fmt::format("{} is reachable from outside without TLS; add `tls: {{ cert, key }}`, or write `insecure: true` "
                      "to serve it all the same",
                      one.address()));
    }
  }
  config.broker = broker::read_broker(root, config.insecure);
  place_pulled_models(config);
  return config;
}

}  // namespace penstock::app
