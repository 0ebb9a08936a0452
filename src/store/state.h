// The gateway's own state file: stored keys, teams, the audit log and responses. Schema and queries in one place.
#pragma once

#include <functional>
#include <optional>

#include "base/clock.h"
#include "base/secret.h"
#include "store/database.h"

namespace penstock::store {

// Who changes something, and when: what the audit log says of it.
struct Actor {
  std::string who;  // "cli:root", "admin:127.0.0.1", "key:app"; never empty
  base::WallMicros at = 0;
};

// A key made at run time (`penstock key create`, the admin API). Its secrets are never stored: only HMAC-SHA-256 of
// them under the installation's own random key. `id` and `name` stay the same for its whole life.
struct StoredKey {
  std::string id;      // public part, shown in lists
  std::string name;    // unique among the keys in force
  std::string team;    // empty: none
  std::string scopes;  // as flow::parse_scopes() takes them: a JSON object; empty: everything is allowed
  std::string labels;  // a JSON object of texts; empty: none
  std::string priority = "normal";
  std::string rules;  // as quota::parse_rules() takes them: a JSON object; empty: no limits
  base::WallMicros created = 0;
  base::WallMicros expires = 0;    // 0: never
  base::WallMicros revoked = 0;    // 0: not
  base::WallMicros last_used = 0;  // 0: never; as exact as a minute
  std::int64_t revision = 0;       // of the change that made it what it is; set by State
};

// One of the secrets a key is known by: more than one while it is being rotated.
struct StoredSecret {
  std::string hash;  // HMAC-SHA-256 as lower-case hex
  base::WallMicros created = 0;
  base::WallMicros expires = 0;  // 0: as long as the key
};

struct StoredTeam {
  std::string name;
  std::string parent;  // empty: an organisation
  std::string scopes;  // as of a key
  std::string rules;   // as of a key
  base::WallMicros created = 0;
  base::WallMicros removed = 0;  // 0: not
  std::int64_t revision = 0;
};

struct KeyQuery {
  std::string prefix;    // of names
  std::string team;      // empty: all
  bool revoked = false;  // also those
  std::string after;     // names behind this one: the last one of the page before; empty: from the first
  std::int64_t limit = 100;
  std::int64_t offset = 0;  // walks over those it leaves out, which `after` does not
};

// A key or a team as gateways tell each other of it: all of it but its last use.
struct SharedRow {
  std::string id;  // "key:<id>", "team:<name>"
  base::WallMicros changed = 0;
  bool revoked = false;       // a key: for good
  std::string text;           // a JSON object
  std::int64_t sequence = 0;  // of the change, here
};

// One line of the audit log. Each carries the SHA-256 of the one before and of its own words: a line that is changed,
// left out or put in between shows.
struct AuditEntry {
  std::int64_t sequence = 0;  // 1, 2, 3, ...
  base::WallMicros at = 0;
  std::string actor;
  std::string action;  // "key.create", "team.update", "config.reload", ...
  std::string object;  // "key:<id>", "team:<name>", ...
  std::string before;  // a JSON object without secrets; empty: there was nothing
  std::string after;
  std::string hash;  // hex
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

  // --- state_keys.cc: every change goes with its line in the audit log, or not at all ---
  // Errors: already_exists for a taken name. Whether its team exists is for the caller to know: it may be declared.
  Result<void> add_key(const StoredKey& key, const StoredSecret& secret, const Actor& actor);
  // All of it but id, name, creation, revocation and last use. Errors: not_found.
  Result<void> update_key(const StoredKey& key, const Actor& actor);
  // A new secret for the key in force of that name or id; those it has work until `old_until` at the latest. Errors:
  // not_found.
  Result<StoredKey> rotate_key(std::string_view name_or_id, const StoredSecret& fresh, base::WallMicros old_until,
                               const Actor& actor);
  // The number of keys revoked (by id, else by name): 0 when there is none. A revoked key frees its name: the row stays
  // for the history of usage, under a name nobody can ask for.
  Result<int> revoke_key(std::string_view name_or_id, const Actor& actor);
  // As another gateway made it, with all its secrets, in the place of what is known under its id.
  Result<void> put_key(const StoredKey& key, const std::vector<StoredSecret>& secrets, const Actor& actor);
  Result<std::optional<StoredKey>> key(std::string_view name_or_id);  // in force, or by id
  Result<std::vector<StoredSecret>> secrets(std::string_view id);
  Result<std::vector<StoredKey>> keys(const KeyQuery& query);  // by name
  Result<std::int64_t> count_keys(const KeyQuery& query);      // whatever limit and offset are
  // Some key was ever made here, also one that is revoked by now.
  Result<bool> had_keys();
  Result<std::int64_t> keys_in_force();
  // Goes up with every change of keys and teams, by any process: one row, cheap to poll.
  Result<std::int64_t> revision();
  // Every key changed after `since` (0: all), revoked ones too (for 0 only those in force), with its secrets.
  using KeyVisitor = std::function<void(const StoredKey&, const std::vector<StoredSecret>&)>;
  Result<void> read_keys(std::int64_t since, const KeyVisitor& visit);
  // Neither a change nor for the audit log.
  Result<void> note_used(const std::vector<std::pair<std::string, base::WallMicros>>& ids);

  // --- state_teams.cc ---
  Result<void> add_team(const StoredTeam& team, const Actor& actor);     // already_exists
  Result<void> update_team(const StoredTeam& team, const Actor& actor);  // not_found
  // Errors: not_found; failed_precondition while keys in force or other teams are in it.
  Result<void> remove_team(std::string_view name, const Actor& actor);
  Result<std::optional<StoredTeam>> team(std::string_view name);
  Result<std::vector<StoredTeam>> teams();  // those not removed, by name

  // --- state_shared.cc ---
  // Keys (revoked ones too) and teams (removed ones too) changed after the change `since` (a sequence), in the order
  // of their changes, at most `most`.
  Result<std::vector<SharedRow>> changed_rows(std::int64_t since, std::int64_t most);
  // Those of another gateway, in the place of what is older here. What cannot be read is left out: it comes from a
  // newer program. A name that is taken gets the key's id added. The number that was taken.
  Result<int> take_rows(const std::vector<SharedRow>& rows);

  // --- state_audit.cc ---
  // For changes of what is kept elsewhere.
  Result<void> add_audit(const Actor& actor, std::string_view action, std::string_view object, std::string_view before,
                         std::string_view after);
  // Those after `since`, oldest first.
  Result<std::vector<AuditEntry>> audit(std::int64_t since, std::int64_t limit);
  // The newest ones, newest first.
  Result<std::vector<AuditEntry>> audit_newest(std::int64_t limit);
  // Goes through the whole log: the number of lines, or data_loss with the first one that does not fit.
  Result<std::int64_t> verify_audit();

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
  Result<std::int64_t> next_revision();
  Result<std::optional<StoredKey>> find_key(std::string_view where, std::string_view value);
  Result<void> write_key(const StoredKey& key);
  Result<void> write_secret(std::string_view id, const StoredSecret& secret);
  Result<void> write_team(const StoredTeam& team);
  // put_key(), within a transaction.
  Result<void> replace_key(const StoredKey& key, const std::vector<StoredSecret>& secrets, const Actor& actor);
  Result<std::optional<StoredTeam>> find_team(std::string_view name);     // removed ones too
  Result<void> replace_team(const StoredTeam& team, const Actor& actor);  // within a transaction
  Result<bool> take_row(const SharedRow& row);
  Result<void> take_key(const SharedRow& row, const Actor& actor);
  Result<void> take_team(const SharedRow& row, const Actor& actor);
  Result<std::int64_t> verify_audit_lines();
  Result<void> check_audit_end(std::int64_t lines, std::string_view last_hash);
  Result<void> append_audit(const Actor& actor, std::string_view action, std::string_view object,
                            std::string_view before, std::string_view after);
  friend class DeviceStore;  // device_store.h
  Database database_;
  std::string dir_;
};

// The folder, readable by its owner alone when it is made here. Errors: permission_denied.
Result<void> make_data_dir(const std::string& dir);

}  // namespace penstock::store
