#include "json/value.h"
#include "store/state.h"

namespace penstock::store {
namespace {

constexpr std::string_view kColumns =
    "id,name,team,scopes,labels,priority,rules,created,expires,revoked,last_used,revision";

// Of one key, while it is being rotated.
constexpr std::size_t kSecretsMax = 64;

StoredKey key_of(const Statement& row) {
  StoredKey key;
  key.id = row.text(0);
  key.name = row.text(1);
  key.team = row.text(2);
  key.scopes = row.text(3);
  key.labels = row.text(4);
  key.priority = row.text(5);
  key.rules = row.text(6);
  key.created = row.integer(7);
  key.expires = row.integer(8);
  key.revoked = row.integer(9);
  key.last_used = row.integer(10);
  key.revision = row.integer(11);
  return key;
}

json::Value parsed(const std::string& text) {
  auto value = json::parse(text);
  return value ? *value : json::Value(text);
}

// For the audit log.
std::string shown(const StoredKey& key, const json::Array& secrets_valid_until = {}) {
  json::Object o{{"name", key.name}};
  for (const auto& [name, value] :
       {std::pair<const char*, const std::string*>{"team", &key.team}, {"priority", &key.priority}})
    if (!value->empty()) o[name] = *value;
  for (const auto& [name, value] : {std::pair<const char*, const std::string*>{"scopes", &key.scopes},
                                    {"labels", &key.labels},
                                    {"rules", &key.rules}})
    if (!value->empty()) o[name] = parsed(*value);
  if (key.expires != 0) o["expires"] = base::to_rfc3339(key.expires);
  if (key.revoked != 0) o["revoked"] = base::to_rfc3339(key.revoked);
  if (!secrets_valid_until.empty()) o["secrets_valid_until"] = secrets_valid_until;
  return json::dump(o);
}

json::Array expiries(const std::vector<StoredSecret>& secrets) {
  json::Array all;
  for (const StoredSecret& secret : secrets)
    all.push_back(secret.expires == 0 ? json::Value(nullptr) : json::Value(base::to_rfc3339(secret.expires)));
  return all;
}

std::unexpected<Error> unknown(std::string_view name_or_id) {
  return fail(Errc::not_found, fmt::format("there is no active stored key with the name or id '{}'; `penstock key "
                                           "list` shows them",
                                           name_or_id));
}

// The first name after all with this prefix, in the order of bytes.
std::string past(std::string prefix) {
  while (!prefix.empty() && prefix.back() == '\xff') prefix.pop_back();
  if (!prefix.empty()) prefix.back() = static_cast<char>(prefix.back() + 1);
  return prefix;
}

// What a query asks for and no more, so that the index of names is searched. ?1 to ?3 are bound below.
std::string where(const KeyQuery& query) {
  std::string text = query.revoked ? "1" : "revoked=0";
  if (!query.after.empty() && query.after >= query.prefix) {
    text += " AND name>?1";
  } else if (!query.prefix.empty()) {
    text += " AND name>=?1";
  }
  if (!past(query.prefix).empty()) text += " AND name<?2";
  if (!query.team.empty()) text += " AND team=?3";
  return text;
}

void bind(Statement& statement, const KeyQuery& query) {
  if (!query.after.empty() || !query.prefix.empty()) statement.bind(1, std::max(query.after, query.prefix));
  if (std::string end = past(query.prefix); !end.empty()) statement.bind(2, end);
  if (!query.team.empty()) statement.bind(3, query.team);
}

}  // namespace

Result<std::int64_t> State::revision() {
  auto statement = database_.prepare("SELECT value FROM counters WHERE name='revision'");
  if (!statement) return std::unexpected(statement.error());
  if (auto row = statement->step(); !row) return std::unexpected(row.error());
  return statement->integer(0);
}

Result<std::int64_t> State::next_revision() {
  if (auto done = database_.execute("UPDATE counters SET value=value+1 WHERE name='revision'"); !done)
    return std::unexpected(done.error());
  return revision();
}

Result<void> State::write_key(const StoredKey& key) {
  auto revision = next_revision();
  if (!revision) return std::unexpected(revision.error());
  auto statement = database_.prepare(fmt::format(
      "INSERT INTO keys ({}) VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12) ON CONFLICT (id) DO UPDATE SET "
      "name=?2,team=?3,scopes=?4,labels=?5,priority=?6,rules=?7,expires=?9,revoked=?10,revision=?12",
      kColumns));
  if (!statement) return std::unexpected(statement.error());
  statement->bind(1, key.id).bind(2, key.name).bind(3, key.team).bind(4, key.scopes).bind(5, key.labels);
  statement->bind(6, key.priority).bind(7, key.rules).bind(8, key.created).bind(9, key.expires).bind(10, key.revoked);
  return statement->bind(11, key.last_used).bind(12, *revision).run();
}

Result<void> State::write_secret(std::string_view id, const StoredSecret& secret) {
  auto statement = database_.prepare("INSERT OR REPLACE INTO secrets (key,hash,created,expires) VALUES (?,?,?,?)");
  if (!statement) return std::unexpected(statement.error());
  return statement->bind(1, id).bind(2, secret.hash).bind(3, secret.created).bind(4, secret.expires).run();
}

Result<void> State::add_key(const StoredKey& key, const StoredSecret& secret, const Actor& actor) {
  auto done = database_.transaction([&]() -> Result<void> {
    // Whatever is asked for by a name or an id is one key.
    for (std::string_view where : {"name", "id"}) {
      if (auto taken = find_key(where, key.name); !taken || *taken)
        return taken ? fail(Errc::already_exists, "") : std::unexpected(taken.error());
    }
    if (auto written = write_key(key); !written) return written;
    if (auto written = write_secret(key.id, secret); !written) return written;
    return append_audit(actor, "key.create", "key:" + key.id, "", shown(key));
  });
  if (!done && done.error().code == Errc::already_exists) {
    return fail(
        Errc::already_exists,
        fmt::format("a key with the name or id '{}' exists already; choose another name or revoke it first", key.name));
  }
  return done;
}

Result<void> State::update_key(const StoredKey& key, const Actor& actor) {
  return database_.transaction([&]() -> Result<void> {
    auto before = find_key("revoked=0 AND id", key.id);
    if (!before) return std::unexpected(before.error());
    if (!*before) return unknown(key.id);
    StoredKey fresh = key;
    fresh.name = (*before)->name;
    fresh.revoked = 0;
    if (auto written = write_key(fresh); !written) return written;
    return append_audit(actor, "key.update", "key:" + key.id, shown(**before), shown(fresh));
  });
}

Result<StoredKey> State::rotate_key(std::string_view name_or_id, const StoredSecret& fresh, base::WallMicros old_until,
                                    const Actor& actor) {
  StoredKey rotated;
  auto done = database_.transaction([&]() -> Result<void> {
    auto found = key(name_or_id);
    if (!found) return std::unexpected(found.error());
    if (!*found || (*found)->revoked != 0) return unknown(name_or_id);
    rotated = **found;
    auto before = secrets(rotated.id);
    if (!before) return std::unexpected(before.error());
    // Those whose time is over go; none gets a longer one.
    for (std::string_view sql :
         {"DELETE FROM secrets WHERE key=?1 AND (?2<=?3 OR (expires<>0 AND expires<=?3))",
          "UPDATE secrets SET expires=?2 WHERE key=?1 AND ?3<>0 AND (expires=0 OR expires>?2)"}) {
      auto statement = database_.prepare(sql);
      if (!statement) return std::unexpected(statement.error());
      if (auto ran = statement->bind(1, rotated.id).bind(2, old_until).bind(3, actor.at).run(); !ran) return ran;
    }
    // The newest secret tells gateways that share the key which of two states was rotated last, whatever the clock
    // says.
    StoredSecret newest = fresh;
    for (const StoredSecret& old : *before) newest.created = std::max(newest.created, old.created + 1);
    if (auto written = write_secret(rotated.id, newest); !written) return written;
    if (auto written = write_key(rotated); !written) return written;
    auto after = secrets(rotated.id);
    if (!after) return std::unexpected(after.error());
    if (after->size() > kSecretsMax) {
      return fail(Errc::failed_precondition,
                  fmt::format("the key '{}' has {} secrets that still work: rotate it with a shorter overlap, which "
                              "ends the time of the older ones",
                              rotated.name, kSecretsMax));
    }
    return append_audit(actor, "key.rotate", "key:" + rotated.id, shown(rotated, expiries(*before)),
                        shown(rotated, expiries(*after)));
  });
  if (!done) return std::unexpected(done.error());
  return rotated;
}

Result<int> State::revoke_key(std::string_view name_or_id, const Actor& actor) {
  int count = 0;
  auto done = database_.transaction([&]() -> Result<void> {
    for (std::string_view where : {"revoked=0 AND id", "revoked=0 AND name"}) {
      auto found = find_key(where, name_or_id);
      if (!found) return std::unexpected(found.error());
      if (!*found) continue;
      StoredKey key = **found;
      key.revoked = actor.at;
      key.name += fmt::format(" (revoked {})", key.id);
      if (auto written = write_key(key); !written) return written;
      auto gone = database_.prepare("DELETE FROM secrets WHERE key=?");
      if (!gone) return std::unexpected(gone.error());
      if (auto ran = gone->bind(1, key.id).run(); !ran) return ran;
      if (auto told = append_audit(actor, "key.revoke", "key:" + key.id, shown(**found), ""); !told) return told;
      ++count;
      break;
    }
    return {};
  });
  if (!done) return std::unexpected(done.error());
  return count;
}

Result<void> State::put_key(const StoredKey& key, const std::vector<StoredSecret>& secrets, const Actor& actor) {
  return database_.transaction([&] { return replace_key(key, secrets, actor); });
}

Result<void> State::replace_key(const StoredKey& key, const std::vector<StoredSecret>& secrets, const Actor& actor) {
  auto before = find_key("id", key.id);
  if (!before) return std::unexpected(before.error());
  if (auto written = write_key(key); !written) return written;
  auto gone = database_.prepare("DELETE FROM secrets WHERE key=?");
  if (!gone) return std::unexpected(gone.error());
  if (auto ran = gone->bind(1, key.id).run(); !ran) return ran;
  for (const StoredSecret& secret : secrets) {
    if (auto written = write_secret(key.id, secret); !written) return written;
  }
  const bool revokes = key.revoked != 0 && (!*before || (*before)->revoked == 0);
  return append_audit(actor, revokes ? "key.revoke" : "key.put", "key:" + key.id, *before ? shown(**before) : "",
                      shown(key, expiries(secrets)));
}

Result<std::optional<StoredKey>> State::find_key(std::string_view where, std::string_view value) {
  auto statement = database_.prepare(fmt::format("SELECT {} FROM keys WHERE {}=?", kColumns, where));
  if (!statement) return std::unexpected(statement.error());
  auto row = statement->bind(1, value).step();
  if (!row) return std::unexpected(row.error());
  if (!*row) return std::nullopt;
  return key_of(*statement);
}

Result<std::optional<StoredKey>> State::key(std::string_view name_or_id) {
  auto found = find_key("id", name_or_id);
  if (!found || *found) return found;
  return find_key("revoked=0 AND name", name_or_id);
}

Result<std::vector<StoredSecret>> State::secrets(std::string_view id) {
  auto statement = database_.prepare("SELECT hash,created,expires FROM secrets WHERE key=? ORDER BY created");
  if (!statement) return std::unexpected(statement.error());
  statement->bind(1, id);
  std::vector<StoredSecret> secrets;
  while (true) {
    auto row = statement->step();
    if (!row) return std::unexpected(row.error());
    if (!*row) return secrets;
    secrets.push_back({statement->text(0), statement->integer(1), statement->integer(2)});
  }
}

Result<std::vector<StoredKey>> State::keys(const KeyQuery& query) {
  auto statement = database_.prepare(
      fmt::format("SELECT {} FROM keys WHERE {} ORDER BY name LIMIT ?4 OFFSET ?5", kColumns, where(query)));
  if (!statement) return std::unexpected(statement.error());
  bind(*statement, query);
  statement->bind(4, query.limit).bind(5, query.offset);
  std::vector<StoredKey> keys;
  while (true) {
    auto row = statement->step();
    if (!row) return std::unexpected(row.error());
    if (!*row) return keys;
    keys.push_back(key_of(*statement));
  }
}

Result<std::int64_t> State::count_keys(const KeyQuery& query) {
  auto statement = database_.prepare(fmt::format("SELECT COUNT(*) FROM keys WHERE {}", where(query)));
  if (!statement) return std::unexpected(statement.error());
  bind(*statement, query);
  if (auto row = statement->step(); !row) return std::unexpected(row.error());
  return statement->integer(0);
}

Result<bool> State::had_keys() {
  auto statement = database_.prepare("SELECT 1 FROM keys LIMIT 1");
  if (!statement) return std::unexpected(statement.error());
  return statement->step();
}

Result<std::int64_t> State::keys_in_force() { return count_keys({}); }

Result<void> State::read_keys(std::int64_t since, const KeyVisitor& visit) {
  // Both in the order of ids: a walk through two tables side by side, where a join would search one for each row.
  // For a few changes neither table is walked: the index says where they are.
  auto rows =
      database_.prepare(fmt::format("SELECT {} FROM keys {} ORDER BY id", kColumns,
                                    since == 0 ? "WHERE revoked=0" : "INDEXED BY keys_revision WHERE revision>?1"));
  if (!rows) return std::unexpected(rows.error());
  auto secret = database_.prepare(
      since == 0 ? "SELECT hash,created,expires,key FROM secrets ORDER BY key"
                 : "SELECT hash,s.created,s.expires,s.key FROM keys k INDEXED BY keys_revision CROSS JOIN secrets s ON "
                   "s.key=k.id WHERE revision>?1 ORDER BY k.id");
  if (!secret) return std::unexpected(secret.error());
  if (since != 0) {
    rows->bind(1, since);
    secret->bind(1, since);
  }
  auto more = secret->step();
  std::vector<StoredSecret> secrets;
  while (true) {
    auto row = rows->step();
    if (!row) return std::unexpected(row.error());
    if (!*row) return {};
    StoredKey key = key_of(*rows);
    secrets.clear();
    for (; more && *more; more = secret->step()) {
      std::string of = secret->text(3);
      if (of > key.id) break;
      if (of == key.id) secrets.push_back({secret->text(0), secret->integer(1), secret->integer(2)});
    }
    if (!more) return std::unexpected(more.error());
    visit(key, secrets);
  }
}

Result<void> State::note_used(const std::vector<std::pair<std::string, base::WallMicros>>& ids) {
  return database_.transaction([&]() -> Result<void> {
    auto statement = database_.prepare("UPDATE keys SET last_used=?2 WHERE id=?1 AND last_used<?2");
    if (!statement) return std::unexpected(statement.error());
    for (const auto& [id, at] : ids) {
      if (auto done = statement->bind(1, id).bind(2, at).run(); !done) return done;
    }
    return {};
  });
}

}  // namespace penstock::store
