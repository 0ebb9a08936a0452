#include "broker/broker_config.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

namespace penstock::broker {
namespace {

using namespace std::chrono_literals;

constexpr std::string_view kDevice = "{device}";
constexpr const char* kDefaultFilter = "devices/{device}/#";
constexpr std::uint64_t kMemoryMin = 16ULL << 20;
constexpr std::uint64_t kMemoryMax = 64ULL << 30;

bool says_embedded(const config::Node& node) {
  return node.kind() == config::Node::Kind::scalar && node.raw() == "embedded";
}

// Some `mqtt: embedded` or `url: embedded` below; reports nothing, for others read these places.
bool mentions_embedded(const config::Node& node) {
  if (node.kind() == config::Node::Kind::list) {
    const auto items = node.items();
    return std::any_of(items.begin(), items.end(), mentions_embedded);
  }
  if (node.kind() != config::Node::Kind::map) return false;
  for (const auto& [key, value] : node.map().entries()) {
    if (((key == "mqtt" || key == "url") && says_embedded(value)) || mentions_embedded(value)) return true;
  }
  return false;
}

void read_listen(const config::Node& node, BrokerConfig& config, bool& outside) {
  if (!node.present()) return;
  auto address = net::parse_host_port(node.text(), 1883);
  auto endpoint = address ? net::parse_endpoint(*address) : Result<net::Endpoint>(std::unexpected(address.error()));
  if (!endpoint || endpoint->port() == 0) {
    node.problem("the broker listens on an address with a port: 127.0.0.1:1883");
    return;
  }
  config.host = address->host == "localhost" ? "127.0.0.1" : address->host;
  config.port = endpoint->port();
  outside = !endpoint->is_loopback();
}

// They stand in the broker's own file, one on each line.
std::string read_path(config::Map& map, const char* key, bool required) {
  const std::string path = required ? map.required_text(key) : map.text(key);
  if (path.find_first_of("\r\n") != std::string::npos) map.get(key).problem("a path is one line");
  return path;
}

void read_tls(const config::Node& node, BrokerConfig& config) {
  if (!node.present()) return;
  config::Map map = node.map();
  BrokerTls tls;
  tls.cert = read_path(map, "cert", true);
  tls.key = read_path(map, "key", true);
  tls.client_ca = read_path(map, "client_ca", false);
  map.done();
  config.tls = std::move(tls);
}

void read_users(const config::Node& node, BrokerConfig& config) {
  if (!node.present()) return;
  for (const auto& [name, entry] : node.map().entries()) {
    config::Map map = entry.map();
    DeclaredUser declared;
    declared.user.name = name;
    declared.password = map.secret("password");
    declared.user.publish = map.texts("publish");
    declared.user.subscribe = map.texts("subscribe");
    if (!map.has("publish") && !map.has("subscribe"))
      declared.user.publish = declared.user.subscribe = filters_for(config.acl, name);
    map.done();
    const bool by_certificate = config.tls && !config.tls->client_ca.empty();
    if (declared.password.empty() && !by_certificate)
      entry.problem("the user has no `password`, and the broker asks for no certificates (`tls: { client_ca }`)");
    if (auto checked = check_user(declared.user); !checked) entry.problem(checked.error().detail);
    config.users.push_back(std::move(declared));
  }
}

void check_reach(const config::Node& node, const BrokerConfig& config, bool outside, bool insecure) {
  if (!outside || insecure) return;
  if (!config.tls)
    node.problem(
        fmt::format("the broker on {} is reachable from outside without TLS; add `tls: {{ cert, key }}`, or "
                    "write `insecure: true` to go without",
                    config.address()));
  if (config.allow_anonymous)
    node.problem(
        "`allow_anonymous` lets everybody in who reaches the broker from outside; give devices names, or "
        "write `insecure: true`");
}

BrokerConfig read_config(const config::Node& node, bool insecure) {
  BrokerConfig config;
  config::Map map = node.map();
  bool outside = false;
  read_listen(map.get("listen"), config, outside);
  read_tls(map.get("tls"), config);
  config.allow_anonymous = map.boolean("allow_anonymous", false);
  config.persistence = map.boolean("persistence", true);
  config.save_every = std::chrono::duration_cast<std::chrono::seconds>(map.duration("save_every", 30s));
  if (config.save_every < 1s || config.save_every > 24h)
    map.get("save_every").problem("saving goes on every 1s to 24h");
  config.message_bytes_max = map.size("message_max", config.message_bytes_max);
  if (config.message_bytes_max < 1 || config.message_bytes_max > (256U << 20))
    map.get("message_max").problem("a message is at most 1B to 256MB long");
  config.connections_max = map.integer("connections_max", config.connections_max, 1, 1'000'000);
  config.queued_max = map.integer("queued_max", config.queued_max, 1, 10'000'000);
  config.queued_bytes_max = map.size("queued_bytes_max", config.queued_bytes_max);
  if (config.queued_bytes_max < (64U << 10) || config.queued_bytes_max > kMemoryMax)
    map.get("queued_bytes_max").problem("64KiB to 64GiB wait for one client");
  config.memory_max = map.size("memory_max", config.memory_max);
  if (config.memory_max < kMemoryMin || config.memory_max > kMemoryMax)
    map.get("memory_max").problem("the broker has 16MiB to 64GiB of memory");
  config.program = read_path(map, "program", false);
  config.acl = map.has("acl") ? map.texts("acl") : std::vector<std::string>{kDefaultFilter};
  read_users(map.get("users"), config);
  map.done();
  check_reach(node, config, outside, insecure);
  return config;
}

}  // namespace

std::string BrokerConfig::address() const {
  const bool v6 = host.find(':') != std::string::npos;
  return fmt::format("{}{}{}:{}", v6 ? "[" : "", host, v6 ? "]" : "", port);
}

std::vector<std::string> filters_for(const std::vector<std::string>& acl, const std::string& device) {
  std::vector<std::string> filters = acl;
  for (std::string& filter : filters) {
    for (std::size_t at = 0; (at = filter.find(kDevice, at)) != std::string::npos; at += device.size())
      filter.replace(at, kDevice.size(), device);
  }
  return filters;
}

std::optional<BrokerConfig> read_broker(config::Map& root, bool insecure) {
  const config::Node node = root.get("broker");
  if (node.present()) return read_config(node, insecure);
  for (const char* place : {"sources", "pipelines"}) {
    // A map of its own: the keys stay for those who read them.
    config::Map all = root.node().map();
    if (!mentions_embedded(all.get(place))) continue;
    BrokerConfig config;
    config.acl = {kDefaultFilter};
    return config;
  }
  return std::nullopt;
}

Result<std::string> find_program(const std::string& program) {
  if (!program.empty()) {
    if (::access(program.c_str(), X_OK) == 0) return program;
    return fail(Errc::not_found, fmt::format("there is no program {}: mend `program` of `broker:`", program));
  }
  const char* variable = std::getenv("PATH");
  std::string folders = fmt::format("{}:/usr/sbin:/usr/local/sbin:/usr/bin", variable == nullptr ? "" : variable);
  for (std::size_t from = 0; from < folders.size();) {
    const std::size_t end = std::min(folders.find(':', from), folders.size());
    const std::string path = folders.substr(from, end - from) + "/mosquitto";
    if (end > from && ::access(path.c_str(), X_OK) == 0) return path;
    from = end + 1;
  }
  return fail(Errc::not_found,
              "the embedded broker is Mosquitto, and there is none here: install the package `mosquitto`, or name it "
              "with `program` of `broker:`");
}

}  // namespace penstock::broker
