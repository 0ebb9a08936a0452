#include "llm/target_health.h"

#include "base/quantity.h"
#include "obs/log.h"

namespace penstock::llm {

Outcome outcome_of(obs::ErrorType type, int status) {
  switch (type) {
    case obs::ErrorType::none: return Outcome::good;
    case obs::ErrorType::provider_connect:
    case obs::ErrorType::provider_timeout:
    case obs::ErrorType::provider_5xx:
    case obs::ErrorType::provider_malformed:
    case obs::ErrorType::provider_cut: return Outcome::bad;
    case obs::ErrorType::provider_4xx: return status == 0 ? Outcome::neither : Outcome::good;
    default: return Outcome::neither;
  }
}

void note_outcome(const http::Origin& origin, Outcome outcome, base::SteadyTime now, std::string_view why) {
  using Change = http::OriginHealth::Change;
  if (outcome == Outcome::neither) return;
  http::OriginHealth& health = origin.state->health;
  Change change = outcome == Outcome::good ? health.succeeded(now) : health.failed(origin.outlier, now);
  if (change == Change::out) {
    auto left = std::chrono::ceil<std::chrono::milliseconds>(health.ejected_until() - now);
    obs::log(obs::Level::warn, "provider ejected: calls go to others first",
             {{"provider", origin.name}, {"for", base::format_duration(left)}, {"why", std::string(why)}});
  } else if (change == Change::back) {
    obs::log(obs::Level::info, "provider is back", {{"provider", origin.name}});
  }
}

void note_check(const http::Origin& origin, bool good, std::string_view why) {
  using Change = http::OriginHealth::Change;
  Change change = origin.state->health.checked(*origin.check, good);
  if (change == Change::out) {
    obs::log(obs::Level::warn, "provider found down by its health check: calls go to others first",
             {{"provider", origin.name}, {"why", std::string(why)}});
  } else if (change == Change::back) {
    obs::log(obs::Level::info, "provider found up by its health check", {{"provider", origin.name}});
  }
}

}  // namespace penstock::llm
