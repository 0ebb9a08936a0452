// What may be changed of stored keys and teams, as the JSON that the admin API takes and the command line makes.
#pragma once

#include <string>
#include <vector>

#include "app/admin_shape.h"
#include "base/secret.h"
#include "store/state.h"

namespace penstock::app {

// Fields of the shapes NewKey and NewTeam; absent where nothing was said.
json::Object settings_of(const store::StoredKey& key);
json::Object settings_of(const store::StoredTeam& team);

// Fields that are not there stay as they are, null takes away, and `limits` and `labels` change member by member (RFC
// 7396). `changes` fits the shape KeyChange, or TeamChange. Errors: invalid_argument; the key is then as it was.
Result<void> change(store::StoredKey& key, const json::Object& changes, base::WallMicros now);
Result<void> change(store::StoredTeam& team, const json::Object& changes);

// Names are shown, logged and typed. Errors: invalid_argument.
Result<void> check_name(std::string_view name);

// A key to be stored, and the secret that callers will send.
struct FreshKey {
  store::StoredKey key;
  store::StoredSecret stored;
  base::Secret secret;
};
// `settings` fits the shape NewKey. Errors: invalid_argument.
Result<FreshKey> make_key(const json::Object& settings, const base::Secret& installation, base::WallMicros now);

// A team to be stored; `settings` fits the shape NewTeam. Errors: invalid_argument.
Result<store::StoredTeam> make_team(const json::Object& settings, base::WallMicros now);

// The team exists, among `declared` or stored; an empty name is none. Errors: invalid_argument, naming `field`.
Result<void> check_team(store::State& state, const std::vector<std::string>& declared, const std::string& name,
                        std::string_view field);
// The team above it exists, and nobody is above itself or too deep. Errors: invalid_argument.
Result<void> check_place(store::State& state, const std::vector<std::string>& declared, const store::StoredTeam& team);

struct FreshSecret {
  store::StoredSecret stored;
  base::Secret secret;
};
FreshSecret make_secret(const std::string& key_id, const base::Secret& installation, base::WallMicros now);

}  // namespace penstock::app
