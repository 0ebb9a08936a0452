#include "flow/scopes.h"

#include "base/glob.h"
#include "json/value.h"

namespace penstock::flow {
namespace {

// Globs are long enough for every model's name; longer lists than these are a mistake, and every call pays for them.
constexpr std::size_t kListMax = 1000;
constexpr std::array<std::string_view, 4> kLists{"models", "apis", "can", "from"};

// One entry of one of the lists; the same rules for configuration and for stored keys.
Result<void> add(Scopes& scopes, std::string_view list, const std::string& text) {
  if (list == "models") {
    bool denied = text.starts_with('!');
    std::string glob = denied ? text.substr(1) : text;
    if (glob.empty()) return fail(Errc::invalid_argument, "a model pattern is empty");
    (denied ? scopes.denied : scopes.models).push_back(std::move(glob));
    return {};
  }
  if (list == "apis") {
    scopes.apis.push_back(text);
    return {};
  }
  if (list == "can") {
    const auto* found = std::find(kCapabilityNames.begin(), kCapabilityNames.end(), text);
    if (found == kCapabilityNames.end())
      return fail(Errc::invalid_argument,
                  fmt::format("there is no capability '{}'; there are: {}", text, fmt::join(kCapabilityNames, ", ")));
    scopes.can.add(static_cast<Capability>(found - kCapabilityNames.begin()));
    return {};
  }
  auto network = net::Network::parse(text);
  if (!network) return std::unexpected(network.error());
  scopes.from.push_back(*network);
  scopes.from_texts.push_back(text);
  return {};
}

}  // namespace

bool glob_matches(std::string_view pattern, std::string_view text) { return base::glob_matches(pattern, text); }

bool Scopes::allows_model(std::string_view model) const {
  auto matches = [&](const std::string& glob) { return base::glob_matches(glob, model); };
  if (std::any_of(denied.begin(), denied.end(), matches)) return false;
  return models.empty() || std::any_of(models.begin(), models.end(), matches);
}

bool Scopes::allows_api(std::string_view api) const {
  return apis.empty() || std::find(apis.begin(), apis.end(), api) != apis.end();
}

bool Scopes::allows_from(const net::Endpoint& caller) const { return from.empty() || net::contains(from, caller); }

std::string Scopes::models_text() const {
  std::string text = models.empty() ? "every model" : fmt::format("{}", fmt::join(models, ", "));
  if (!denied.empty()) text += fmt::format(", but not {}", fmt::join(denied, ", "));
  return text;
}

Scopes parse_scopes(config::Map& map, const std::vector<std::string>& apis) {
  Scopes scopes;
  for (std::string_view list : kLists) {
    config::Node node = map.get(list);
    if (!node.present()) continue;
    std::vector<config::Node> items;
    if (node.kind() == config::Node::Kind::scalar) {
      items.push_back(node);
    } else {
      items = node.items();
    }
    if (items.size() > kListMax) node.problem(fmt::format("at most {} entries are possible", kListMax));
    for (const config::Node& item : items) {
      std::string text = item.text();
      if (auto added = add(scopes, list, text); !added) item.problem(added.error().detail);
      if (list == "apis" && std::find(apis.begin(), apis.end(), text) == apis.end())
        item.problem(fmt::format("there is no API '{}'; there are: {}", text, fmt::join(apis, ", ")));
    }
  }
  return scopes;
}

Result<Scopes> parse_scopes(std::string_view text) {
  Scopes scopes;
  if (text.empty()) return scopes;
  auto value = json::parse(text);
  if (!value) return std::unexpected(value.error());
  if (!value->is_object()) return fail(Errc::invalid_argument, "scopes are a JSON object");
  for (const auto& member : value->get_object()) {
    std::string_view name(member.key());
    if (std::find(kLists.begin(), kLists.end(), name) == kLists.end() || !member.value().is_array())
      return fail(Errc::invalid_argument,
                  fmt::format("'{}' is none of the lists scopes are made of: {}", name, fmt::join(kLists, ", ")));
    if (member.value().get_array().size() > kListMax)
      return fail(Errc::invalid_argument, fmt::format("{}: at most {} entries are possible", name, kListMax));
    for (const json::Value& item : member.value().get_array()) {
      if (!item.is_string()) return fail(Errc::invalid_argument, fmt::format("{}: texts are wanted", name));
      if (auto added = add(scopes, name, std::string(item.get_string())); !added)
        return fail(Errc::invalid_argument, fmt::format("{}: {}", name, added.error().detail));
    }
  }
  return scopes;
}

std::string to_text(const Scopes& scopes) {
  json::Object o;
  auto put = [&](std::string_view name, json::Array list) {
    if (!list.empty()) o[name] = std::move(list);
  };
  json::Array models(scopes.models.begin(), scopes.models.end());
  for (const std::string& glob : scopes.denied) models.emplace_back("!" + glob);
  put("models", std::move(models));
  put("apis", json::Array(scopes.apis.begin(), scopes.apis.end()));
  json::Array can;
  for (std::size_t i = 0; i < kCapabilities; ++i) {
    if (scopes.can.has(static_cast<Capability>(i))) can.emplace_back(kCapabilityNames[i]);
  }
  put("can", std::move(can));
  put("from", json::Array(scopes.from_texts.begin(), scopes.from_texts.end()));
  return o.empty() ? std::string() : json::dump(o);
}

}  // namespace penstock::flow
