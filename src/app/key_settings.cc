#include "app/key_settings.h"

#include <array>

#include "flow/scopes.h"
#include "flow/teams.h"
#include "quota/rules.h"

namespace penstock::app {
namespace {

using json::Object;
using json::Value;

constexpr std::size_t kNameBytesMax = 200;
constexpr std::array<std::string_view, 4> kScopes{"models", "apis", "can", "from"};
constexpr std::array<std::string_view, 2> kRules{"limits", "budget"};
constexpr std::array<std::string_view, 2> kMerged{"limits", "labels"};

std::string text_of(const Object& object, std::string_view name) {
  const Value* value = object.if_contains(name);
  return value != nullptr && value->is_string() ? std::string(value->get_string()) : std::string();
}

// What is kept as the text of an object.
Object parsed(const std::string& stored) {
  auto value = stored.empty() ? Result<Value>(Object()) : json::parse(stored);
  return value && value->is_object() ? std::move(value->get_object()) : Object();
}

template <std::size_t N>
std::string stored_text(const Object& settings, const std::array<std::string_view, N>& names) {
  Object part;
  for (std::string_view name : names) {
    if (const Value* value = settings.if_contains(name)) part[name] = *value;
  }
  return part.empty() ? std::string() : json::dump(part);
}

void merge(Object& into, const Object& changes) {
  for (const auto& member : changes) {
    if (member.value().is_null()) {
      into.erase(member.key());
    } else {
      into[member.key()] = member.value();
    }
  }
}

Object merged(Object settings, const Object& changes) {
  for (const auto& member : changes) {
    std::string_view name(member.key().data(), member.key().size());
    bool by_member = std::find(kMerged.begin(), kMerged.end(), name) != kMerged.end() && member.value().is_object();
    if (by_member) {
      Value& part = settings[name];
      if (!part.is_object()) part = Object();
      merge(part.get_object(), member.value().get_object());
      if (part.get_object().empty()) settings.erase(name);
    } else {
      merge(settings, Object{{member.key(), member.value()}});
    }
  }
  return settings;
}

void add_all(Object& settings, Object part) {
  for (auto& member : part) settings[member.key()] = std::move(member.value());
}

// In the words they were said in: what is changed later is changed by these.
Result<std::string> rules_text(const Object& settings) {
  std::string said = stored_text(settings, kRules);
  auto rules = quota::parse_rules(said);
  if (!rules) return std::unexpected(rules.error());
  return rules->empty() ? std::string() : said;
}

Result<void> check_labels(const Object& settings) {
  constexpr std::size_t kLabelsMax = 32;
  const Value* labels = settings.if_contains("labels");
  if (labels == nullptr) return {};
  if (labels->get_object().size() > kLabelsMax)
    return fail(Errc::invalid_argument, fmt::format("'labels': at most {} of them", kLabelsMax));
  for (const auto& member : labels->get_object()) {
    if (member.key().empty() || member.key().size() > kNameBytesMax ||
        member.value().get_string().size() > kNameBytesMax)
      return fail(Errc::invalid_argument, fmt::format("'labels': names and values of 1 to {} bytes", kNameBytesMax));
  }
  return {};
}

Result<base::WallMicros> expiry_of(const Object& settings, base::WallMicros now) {
  std::string given = text_of(settings, "expires");
  if (given.empty()) return 0;
  auto at = read_time(given, now, true);
  if (!at) return fail(Errc::invalid_argument, "'expires': " + at.error().detail);
  return *at;
}

}  // namespace

Object settings_of(const store::StoredKey& key) {
  Object settings;
  if (!key.team.empty()) settings["team"] = key.team;
  add_all(settings, parsed(key.scopes));
  if (!key.labels.empty()) settings["labels"] = parsed(key.labels);
  settings["priority"] = key.priority;
  add_all(settings, parsed(key.rules));
  if (key.expires != 0) settings["expires"] = base::to_rfc3339(key.expires);
  return settings;
}

Object settings_of(const store::StoredTeam& team) {
  Object settings;
  if (!team.parent.empty()) settings["in"] = team.parent;
  add_all(settings, parsed(team.scopes));
  add_all(settings, parsed(team.rules));
  return settings;
}

Result<void> change(store::StoredKey& key, const Object& changes, base::WallMicros now) {
  Object settings = merged(settings_of(key), changes);
  store::StoredKey changed = key;
  changed.team = text_of(settings, "team");
  changed.scopes = stored_text(settings, kScopes);
  if (auto scopes = flow::parse_scopes(changed.scopes); !scopes) return std::unexpected(scopes.error());
  if (auto labels = check_labels(settings); !labels) return labels;
  const Value* labels = settings.if_contains("labels");
  changed.labels = labels == nullptr ? "" : json::dump(*labels);
  changed.priority = settings.contains("priority") ? text_of(settings, "priority") : "normal";
  auto rules = rules_text(settings);
  if (!rules) return std::unexpected(rules.error());
  changed.rules = std::move(*rules);
  if (changes.contains("expires")) {
    auto expires = expiry_of(settings, now);
    if (!expires) return std::unexpected(expires.error());
    changed.expires = *expires;
  }
  key = std::move(changed);
  return {};
}

Result<void> change(store::StoredTeam& team, const Object& changes) {
  Object settings = merged(settings_of(team), changes);
  std::string scopes = stored_text(settings, kScopes);
  if (auto read = flow::parse_scopes(scopes); !read) return std::unexpected(read.error());
  auto rules = rules_text(settings);
  if (!rules) return std::unexpected(rules.error());
  team.parent = text_of(settings, "in");
  team.scopes = std::move(scopes);
  team.rules = std::move(*rules);
  return {};
}

Result<void> check_name(std::string_view name) {
  bool plain =
      std::none_of(name.begin(), name.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; });
  if (name.starts_with("device:"))
    return fail(Errc::invalid_argument, "'name': `device:` begins the names of devices' own keys");
  if (!name.empty() && name.size() <= kNameBytesMax && plain && json::is_valid_utf8(name)) return {};
  return fail(Errc::invalid_argument,
              fmt::format("'name': 1 to {} bytes of text without control characters", kNameBytesMax));
}

Result<store::StoredTeam> make_team(const Object& settings, base::WallMicros now) {
  store::StoredTeam team;
  team.name = text_of(settings, "name");
  team.created = now;
  if (auto fine = check_name(team.name); !fine) return std::unexpected(fine.error());
  Object rest = settings;
  rest.erase("name");
  if (auto done = change(team, rest); !done) return std::unexpected(done.error());
  return team;
}

Result<void> check_team(store::State& state, const std::vector<std::string>& declared, const std::string& name,
                        std::string_view field) {
  if (name.empty() || std::find(declared.begin(), declared.end(), name) != declared.end()) return {};
  auto team = state.team(name);
  if (!team) return std::unexpected(team.error());
  if (*team) return {};
  return fail(Errc::invalid_argument,
              fmt::format("'{}': there is no team '{}'; make it first (`penstock team create {}`, or POST "
                          "/admin/v1/teams), or declare it under `teams:`",
                          field, name, name));
}

Result<void> check_place(store::State& state, const std::vector<std::string>& declared, const store::StoredTeam& team) {
  if (auto known = check_team(state, declared, team.parent, "in"); !known) return known;
  std::string above = team.parent;
  for (std::size_t depth = 1; !above.empty(); ++depth) {
    if (above == team.name)
      return fail(Errc::invalid_argument, fmt::format("'in': '{}' would be above itself", team.name));
    if (depth >= flow::Teams::kDepthMax)
      return fail(Errc::invalid_argument, fmt::format("'in': teams lie at most {} deep", flow::Teams::kDepthMax));
    auto next = state.team(above);
    if (!next) return std::unexpected(next.error());
    above = *next ? (*next)->parent : "";
  }
  return {};
}

FreshSecret make_secret(const std::string& key_id, const base::Secret& installation, base::WallMicros now) {
  FreshSecret fresh;
  fresh.secret = base::Secret("pk-" + key_id + "-" + base::random_token(24));
  fresh.stored = {base::hmac_sha256_hex(installation.reveal(), fresh.secret.reveal()), now, 0};
  return fresh;
}

Result<FreshKey> make_key(const Object& settings, const base::Secret& installation, base::WallMicros now) {
  FreshKey fresh;
  fresh.key.name = text_of(settings, "name");
  if (auto fine = check_name(fresh.key.name); !fine) return std::unexpected(fine.error());
  Object rest = settings;
  rest.erase("name");
  if (auto done = change(fresh.key, rest, now); !done) return std::unexpected(done.error());
  fresh.key.id = base::random_token(9);
  fresh.key.created = now;
  FreshSecret secret = make_secret(fresh.key.id, installation, now);
  fresh.stored = std::move(secret.stored);
  fresh.secret = std::move(secret.secret);
  return fresh;
}

}  // namespace penstock::app
