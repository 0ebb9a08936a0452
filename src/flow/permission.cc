#include "flow/permission.h"

#include "flow/device_caller.h"
#include "flow/filter.h"

namespace penstock::flow {
namespace {

std::string shown(const Key& key) { return fmt::format("the API key '{}'", key.name().view()); }

// The first of key and teams, from the inside out, whose scopes do not agree; empty: all do.
template <class Agrees>
std::string first_against(const Key& key, const Team* team, const Scopes** scopes, Agrees agrees) {
  if (!agrees(key.profile().scopes)) {
    *scopes = &key.profile().scopes;
    return shown(key);
  }
  for (; team != nullptr; team = team->above) {
    if (agrees(team->scopes)) continue;
    *scopes = &team->scopes;
    return fmt::format("the team '{}' of {}", team->name.view(), shown(key));
  }
  return {};
}

std::unexpected<Error> denied(std::string detail) { return fail(Errc::permission_denied, std::move(detail)); }

std::int64_t smaller(std::int64_t a, std::int64_t b) { return a == 0 || (b != 0 && b < a) ? b : a; }

std::int64_t smallest(const Call& call, std::int64_t quota::Limits::* bound) {
  std::int64_t least = call.policy->address_rules().limits.*bound;
  if (call.model_limits != nullptr) least = smaller(least, call.model_limits->*bound);
  if (call.key == nullptr) return least;
  least = smaller(least, call.key->profile().rules.limits.*bound);
  for (const Team* team = call.team; team != nullptr; team = team->above)
    least = smaller(least, team->rules.limits.*bound);
  return least;
}

}  // namespace

Result<void> check_state(const Key& key, const Team* team, base::WallMicros now) {
  if (key.revoked()) return fail(Errc::unauthenticated, fmt::format("{} was revoked", shown(key)));
  if (key.expired(now))
    return fail(Errc::unauthenticated, fmt::format("{} expired at {}", shown(key), base::to_rfc3339(key.expires())));
  const Profile& profile = key.profile();
  if (!profile.broken.empty()) return denied(fmt::format("{} is stored in a form nobody understands", shown(key)));
  if (profile.team.size > 0 && team == nullptr)
    return denied(fmt::format("the team '{}' of {} does not exist", profile.team.view(), shown(key)));
  return {};
}

Result<void> check_caller(const Call& call) {
  if (call.key == nullptr) return {};
  if (auto fine = check_state(*call.key, call.team, call.event.at); !fine) return fine;
  const Scopes* scopes = nullptr;
  std::string_view api = call.event.api.view();
  if (auto who = first_against(*call.key, call.team, &scopes, [&](const Scopes& s) { return s.allows_api(api); });
      !who.empty()) {
    return denied(fmt::format("{} may not use the API '{}'; it may use: {}", who, api, fmt::join(scopes->apis, ", ")));
  }
  // A device speaks for itself, and sees nothing of what becomes of others' readings.
  std::string_view route = call.event.route.view();
  if (!device_of(call.key).empty() && !route.starts_with("/ingest/") && !route.starts_with("/devices/"))
    return denied(fmt::format("{} is a device's, and is good for its readings, twin and commands", shown(*call.key)));
  const net::Endpoint& from = call.client();
  if (auto who = first_against(*call.key, call.team, &scopes, [&](const Scopes& s) { return s.allows_from(from); });
      !who.empty()) {
    return denied(fmt::format("{} may not be used from {}", who, call.event.client.text()));
  }
  return {};
}

Result<void> check_request(const Call& call) {
  if (call.key == nullptr) return {};
  const Scopes* scopes = nullptr;
  const std::string& model = call.model;
  if (!model.empty()) {
    auto who = first_against(*call.key, call.team, &scopes, [&](const Scopes& s) { return s.allows_model(model); });
    if (!who.empty()) {
      return denied(fmt::format("{} may not use the model '{}'; it may use: {}", who, model.substr(0, 100),
                                scopes->models_text()));
    }
  }
  auto who = first_against(*call.key, call.team, &scopes, [&](const Scopes& s) { return s.allows(call.needs); });
  // A key that is good for everything is not good for this: it has to be named.
  if (call.needs.has(Capability::admin) && !call.key->profile().scopes.can.has(Capability::admin))
    return denied(fmt::format("{} is not good for admin, which its `can` has to name", shown(*call.key)));
  if (who.empty()) return {};
  std::vector<std::string_view> missing;
  for (std::size_t i = 0; i < kCapabilities; ++i) {
    auto one = static_cast<Capability>(i);
    if (call.needs.has(one) && !scopes->can.has(one)) missing.push_back(kCapabilityNames[i]);
  }
  return denied(fmt::format("{} is not good for {}", who, fmt::join(missing, ", ")));
}

bool may_use(const Call& call, std::string_view model) {
  if (call.key == nullptr) return true;
  const Scopes* scopes = nullptr;
  return first_against(*call.key, call.team, &scopes, [&](const Scopes& s) { return s.allows_model(model); }).empty();
}

std::int64_t output_max(const Call& call) { return smallest(call, &quota::Limits::output_max); }

std::int64_t input_max(const Call& call) { return smallest(call, &quota::Limits::input_max); }

Result<const Key*> find_admin(const Policy& policy, std::string_view secret, const net::Endpoint& from,
                              base::WallMicros now) {
  const Key* key = policy.keys().find(secret, now);
  if (key == nullptr) return fail(Errc::unauthenticated, "this key is not known to the gateway, or was revoked");
  const Team* team = policy.teams().find(key->profile().team);
  if (auto fine = check_state(*key, team, now); !fine) return std::unexpected(fine.error());
  const Scopes* scopes = nullptr;
  auto agrees = [&](const Scopes& s) { return s.allows({Capability::admin}) && s.allows_from(from); };
  if (!key->profile().scopes.can.has(Capability::admin) || !first_against(*key, team, &scopes, agrees).empty())
    return denied(fmt::format("{} may not use the admin API from here", shown(*key)));
  return key;
}

}  // namespace penstock::flow
