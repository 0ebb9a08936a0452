// What may be changed of stored keys and teams, as the JSON that the admin API takes and the command line makes.
#pragma once

#include <functional>

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

struct FreshSecret {
  store::StoredSecret stored;
  base::Secret secret;
};
FreshSecret make_secret(const std::string& key_id, const base::Secret& installation, base::WallMicros now);

}  // namespace penstock::app
