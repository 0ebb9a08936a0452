#include "flow/keys.h"

#include "base/quantity.h"
#include "base/rfc3339.h"

namespace penstock::flow {
namespace {

constexpr std::size_t kLabelsMax = 32;

void read_secrets(const config::Node& node, DeclaredKey& key) {
  std::vector<config::Node> items{node};
  if (node.kind() == config::Node::Kind::list) items = node.items();
  if (items.empty()) node.problem("the list of secrets is empty");
  for (const config::Node& item : items) {
    base::Secret secret = item.secret();
    if (item.kind() == config::Node::Kind::scalar && secret.empty()) item.problem("the secret is empty");
    if (!secret.empty()) key.secrets.push_back(std::move(secret));
  }
}

void read_credential(config::Map& map, DeclaredKey& key) {
  config::Node identity = map.get("identity");
  if (!identity.present()) {
    read_secrets(map.required("secret"), key);
    return;
  }
  key.identity = identity.text();
  if (key.identity.empty()) identity.problem("the identity is empty");
  // Whoever has one of two would get in with the weaker.
  if (map.has("secret"))
    identity.problem("a key is known either by its `secret` or by the `identity` of a client's certificate");
}

void read_team(const config::Node& node, DeclaredKey& key, const std::vector<TeamSpec>& teams) {
  if (!node.present()) return;
  key.team = node.text();
  std::vector<std::string> names;
  for (const TeamSpec& team : teams) names.push_back(team.name);
  if (std::find(names.begin(), names.end(), key.team) != names.end()) return;
  auto hint = base::closest(key.team, names);
  node.problem(fmt::format("there is no team '{}' under `teams:`{}", key.team,
                           hint ? fmt::format("; did you mean '{}'?", *hint) : ""));
}

std::map<std::string, std::string> read_labels(const config::Node& node) {
  std::map<std::string, std::string> labels;
  if (!node.present()) return labels;
  for (const auto& [name, value] : node.map().entries()) labels[name] = value.text();
  if (labels.size() > kLabelsMax) node.problem(fmt::format("at most {} labels are possible", kLabelsMax));
  return labels;
}

bool share_a_secret(const DeclaredKey& a, const DeclaredKey& b) {
  for (const base::Secret& one : a.secrets) {
    for (const base::Secret& other : b.secrets) {
      if (base::constant_time_equal(one.reveal(), other.reveal())) return true;
    }
  }
  return false;
}

void check_unique(const config::Node& item, const DeclaredKey& fresh, const std::vector<DeclaredKey>& keys) {
  for (const DeclaredKey& other : keys) {
    if (!fresh.identity.empty() && other.identity == fresh.identity)
      item.problem(fmt::format("the keys '{}' and '{}' have the same identity", other.name, fresh.name));
    if (other.name == fresh.name) item.problem(fmt::format("'{}' appears twice; names must be unique", fresh.name));
    if (share_a_secret(other, fresh))
      item.problem(fmt::format("the keys '{}' and '{}' have the same secret", other.name, fresh.name));
  }
}

}  // namespace

base::WallMicros Key::last_used() const {
  return base::WallMicros{used_minute_.load(std::memory_order_relaxed)} * 60'000'000;
}

bool DeclaredKey::weak() const {
  return std::any_of(secrets.begin(), secrets.end(),
                     [](const base::Secret& secret) { return secret.reveal().size() < kStrongBytesMin; });
}

std::optional<Priority> parse_priority(std::string_view text) {
  const auto* found = std::find(kPriorityNames.begin(), kPriorityNames.end(), text);
  if (found == kPriorityNames.end()) return std::nullopt;
  return static_cast<Priority>(found - kPriorityNames.begin());
}

std::vector<DeclaredKey> parse_keys(const config::Node& node, const std::vector<std::string>& apis,
                                    const std::vector<TeamSpec>& teams) {
  std::vector<DeclaredKey> keys;
  for (const config::Node& item : node.items()) {
    config::Map map = item.map();
    DeclaredKey key;
    key.name = map.required_text("name");
    read_credential(map, key);
    read_team(map.get("team"), key, teams);
    key.scopes = parse_scopes(map, apis);
    key.rules = quota::parse_rules(map);
    key.priority = *parse_priority(map.choice("priority", {"critical", "high", "normal", "low"}, "normal"));
    if (config::Node expires = map.get("expires"); expires.present()) {
      auto time = base::parse_rfc3339(expires.text());
      if (!time) expires.problem(time.error().detail);
      key.expires = time.value_or(0);
    }
    key.labels = read_labels(map.get("labels"));
    map.done();
    check_unique(item, key, keys);
    keys.push_back(std::move(key));
  }
  return keys;
}

}  // namespace penstock::flow
