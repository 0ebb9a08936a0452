// The gateway's own state file: stored keys and responses. Schema and queries in one place.
#pragma once

#include <optional>

#include "base/clock.h"
#include "base/secret.h"
#include "store/database.h"

namespace penstock::store {

// A key made by `penstock key create`. The secret itself is never stored: only HMAC-SHA-256 of it under the
// installation's own random key.
struct StoredKey {
  std::string id;  // public part, shown in lists
  std::string name;
  std::string hash;      // hex
  std::string models;    // comma-separated globs; empty: all
  std::int64_t rpm = 0;  // 0: no limit
  std::int64_t tpm = 0;
  base::WallMicros created = 0;
  base::WallMicros expires = 0;  // 0: never
  base::WallMicros revoked = 0;  // 0: not
};

// A response that its caller may come back to, and what it was an answer to. Lists of items are the text of JSON
// arrays.
struct StoredResponse {
  std::string id;
  std::string key;       // flow::Key::owner of the key that made it; empty: there are none
  std::string provider;  // not empty: it is kept by this one, and what follows is empty
  std::string previous;  // the response that it follows; empty: none
  std::string input;     // its own items without those of earlier responses: the text of a JSON array
  std::string body;      // the response: the text of a JSON object
};

// What is kept of all responses together; each bound removes those that were used longest ago.
struct ResponseBounds {
  base::WallMicros unused_since = 0;  // those not used since then
  std::int64_t count = 0;
  std::int64_t bytes = 0;
};

class State {
 public:
  // Opens <dir>/penstock.db, making the folder when needed.
  static Result<State> open(const std::string& dir);
  // How long a call waits for another writer before it fails; 2 s unless told.
  void set_patience(std::chrono::milliseconds patience) { database_.set_patience(patience); }

  Result<void> add_key(const StoredKey& key);  // already_exists for a taken name
  Result<std::vector<StoredKey>> keys();
  // The number of keys revoked (by name or id): 0 when there is none.
  Result<int> revoke_key(std::string_view name_or_id, base::WallMicros now);
  // Changes whenever any process changed keys: cheap to poll.
  Result<std::int64_t> keys_version();

  // The installation's random key for hashing secrets: <dir>/secret.key, mode 0600, made at first use. When the file is
  // gone while there are stored keys in force, failed_precondition: with another one none of them would fit.
  Result<base::Secret> installation_secret();

  // Keeps it, in the place of an earlier one of that id and key. It uses the response that it follows, and those
  // before.
  Result<void> add_response(const StoredResponse& response, base::WallMicros now);
  // Nothing when there is none of this key, or when it was not used since then.
  Result<std::optional<StoredResponse>> response(std::string_view id, std::string_view key,
                                                 base::WallMicros unused_since);
  Result<bool> remove_response(std::string_view id, std::string_view key);
  // The number removed.
  Result<std::int64_t> trim_responses(const ResponseBounds& bounds);

 private:
  State(Database database, std::string dir) : database_(std::move(database)), dir_(std::move(dir)) {}
  Result<std::int64_t> keys_in_force();
  Database database_;
  std::string dir_;
};

// The folder, readable by its owner alone when it is made here. Errors: permission_denied.
Result<void> make_data_dir(const std::string& dir);

}  // namespace penstock::store
