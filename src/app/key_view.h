// Keys, teams and their history as the admin API and the command line show them: never a secret or its hash.
#pragma once

#include "flow/keys.h"
#include "flow/teams.h"
#include "json/value.h"
#include "store/state.h"

namespace penstock::app {

// As the shapes Key, Team and AuditEntry say.
json::Object describe(const store::StoredKey& key, base::WallMicros now);
json::Object describe(const store::StoredTeam& team);
json::Object describe(const store::AuditEntry& entry);
json::Object describe(const flow::DeclaredKey& key, base::WallMicros now);
json::Object describe(const flow::TeamSpec& team);

// "active", "expired", "revoked".
std::string_view state_of(const store::StoredKey& key, base::WallMicros now);

}  // namespace penstock::app
