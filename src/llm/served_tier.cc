#include "llm/served_tier.h"

#include <algorithm>
#include <array>

namespace penstock::llm {
namespace {

using price::Service;

std::string_view raw(std::string_view json, const json::Field& field) {
  return json.substr(field.begin, field.end - field.begin);
}

// `depth`: how many objects further in.
std::string_view find_tier(std::string_view json, int depth) {
  constexpr std::array<std::string_view, 5> kNames{"speed", "service_tier", "usage", "response", "message"};
  using Kind = json::Field::Kind;
  std::array<json::Field, kNames.size()> fields;
  if (!json::peek(json, kNames, fields)) return {};
  if (fields[0].kind == Kind::string && fields[0].string == "fast") return "fast";
  if (fields[1].kind == Kind::string) {
    std::string_view quoted = raw(json, fields[1]);
    return quoted.substr(1, quoted.size() - 2);
  }
  for (std::size_t i = 2; i < fields.size() && depth > 0; ++i) {
    if (fields[i].kind != Kind::object) continue;
    if (std::string_view tier = find_tier(raw(json, fields[i]), depth - 1); !tier.empty()) return tier;
  }
  return {};
}

}  // namespace

std::string_view served_tier(std::string_view json) { return find_tier(json, 2); }

bool has_tiers(const Request& request, const price::Price* price) {
  return !request.service_tier.empty() || (price != nullptr && (price->priority || price->fast || price->flex));
}

std::optional<std::int64_t> reserve_tiers(const price::Price& price, price::Ask ask, std::string_view asked) {
  ask.extras.service = Service::standard;
  auto standard = price::reserve_cost(price, ask);
  ask.extras.service = price::service_of(asked).value_or(Service::standard);
  if (asked == "auto" && price.priority) ask.extras.service = Service::priority;
  if (ask.extras.service != Service::priority && ask.extras.service != Service::fast) return standard;
  auto faster = price::reserve_cost(price, ask);
  if (!faster || !standard) return std::nullopt;
  return std::max(*faster, *standard);
}

Service charged_tier(const price::Price* price, std::string_view asked, std::string_view said, bool native) {
  Service wanted = price::service_of(asked).value_or(Service::standard);
  if (wanted == Service::batch || (!native && wanted != Service::priority)) wanted = Service::standard;
  auto served = said.empty() ? std::nullopt : price::service_of(said);
  if (!served) return wanted;
  if (*served == Service::batch) return Service::standard;
  // A fast answer names its tier as well.
  if (wanted == Service::fast && *served == Service::standard) return wanted;
  // Sold in another way than by the token to whoever did not ask for it.
  bool unpriced = *served == Service::priority && (price == nullptr || !price->priority);
  return unpriced && wanted != Service::priority ? Service::standard : *served;
}

}  // namespace penstock::llm
