#include "json/value.h"
#include "json/writer.h"
#include "store/state.h"

namespace penstock::store {
namespace {

constexpr std::string_view kKey = "key:";
constexpr std::string_view kTeam = "team:";

std::string text_of(const StoredKey& key, const std::vector<StoredSecret>& secrets) {
  std::string text;
  json::Writer out(text);
  out.open_object().member("name", key.name).member("team", key.team).member("scopes", key.scopes);
  out.member("labels", key.labels).member("priority", key.priority).member("rules", key.rules);
  out.member("created", key.created).member("expires", key.expires).member("revoked", key.revoked);
  out.key("secrets").open_array();
  for (const StoredSecret& secret : secrets) {
    out.open_object().member("hash", secret.hash).member("created", secret.created).member("expires", secret.expires);
    out.close_object();
  }
  out.close_array().close_object();
  return text;
}

std::string text_of(const StoredTeam& team) {
  std::string text;
  json::Writer out(text);
  out.open_object().member("parent", team.parent).member("scopes", team.scopes).member("rules", team.rules);
  out.member("created", team.created).member("removed", team.removed).close_object();
  return text;
}

std::vector<StoredSecret> secrets_of(const json::Value& value) {
  std::vector<StoredSecret> secrets;
  const json::Value* list = json::find(value, "secrets");
  if (list == nullptr || !list->is_array()) return secrets;
  for (const json::Value& one : list->get_array()) {
    secrets.push_back({std::string(json::string_or(one, "hash", "")), json::int_or(one, "created", 0),
                       json::int_or(one, "expires", 0)});
  }
  return secrets;
}

StoredKey key_of(std::string_view id, const json::Value& value) {
  const auto text = [&](std::string_view name) { return std::string(json::string_or(value, name, "")); };
  StoredKey key;
  key.id = id;
  key.name = text("name");
  key.team = text("team");
  key.scopes = text("scopes");
  key.labels = text("labels");
  key.priority = text("priority");
  key.rules = text("rules");
  key.created = json::int_or(value, "created", 0);
  key.expires = json::int_or(value, "expires", 0);
  key.revoked = json::int_or(value, "revoked", 0);
  return key;
}

}  // namespace

Result<std::vector<SharedRow>> State::changed_rows(std::int64_t since, std::int64_t most) {
  auto changes = database_.prepare("SELECT id,at,sequence FROM changes WHERE sequence>? ORDER BY sequence LIMIT ?");
  if (!changes) return std::unexpected(changes.error());
  changes->bind(1, since).bind(2, most);
  std::vector<SharedRow> rows;
  while (true) {
    auto row = changes->step();
    if (!row) return std::unexpected(row.error());
    if (!*row) break;
    rows.push_back({changes->text(0), changes->integer(1), false, {}, changes->integer(2)});
  }
  for (SharedRow& row : rows) {
    if (row.id.starts_with(kKey)) {
      auto key = find_key("id", row.id.substr(kKey.size()));
      if (!key) return std::unexpected(key.error());
      if (!*key) continue;
      auto known_by = secrets((*key)->id);
      if (!known_by) return std::unexpected(known_by.error());
      row.revoked = (*key)->revoked != 0;
      row.text = text_of(**key, *known_by);
    } else {
      auto team = find_team(row.id.substr(kTeam.size()));
      if (!team) return std::unexpected(team.error());
      if (*team) row.text = text_of(**team);
    }
  }
  return rows;
}

Result<int> State::take_rows(const std::vector<SharedRow>& rows) {
  int taken = 0;
  auto done = database_.transaction([&]() -> Result<void> {
    for (const SharedRow& row : rows) {
      auto one = take_row(row);
      if (!one) return std::unexpected(one.error());
      taken += *one ? 1 : 0;
    }
    return {};
  });
  if (!done) return std::unexpected(done.error());
  return taken;
}

// A revocation stays, whatever else was changed when.
Result<bool> State::take_row(const SharedRow& row) {
  auto known = database_.prepare(
      "SELECT at, coalesce((SELECT revoked<>0 FROM keys WHERE 'key:' || keys.id=changes.id AND keys.id=substr(?1, 5)), "
      "0) "
      "FROM changes WHERE id=?1");
  if (!known) return std::unexpected(known.error());
  auto found = known->bind(1, row.id).step();
  if (!found) return std::unexpected(found.error());
  if (*found && std::pair(known->integer(1) != 0, known->integer(0)) >= std::pair(row.revoked, row.changed))
    return false;
  const Actor actor{"shared", row.changed};
  const bool key = row.id.starts_with(kKey);
  if (!key && !row.id.starts_with(kTeam)) return false;
  if (auto value = json::parse(row.text); !value || !value->is_object()) return false;
  if (auto taken = key ? take_key(row, actor) : take_team(row, actor); !taken) return std::unexpected(taken.error());
  auto stamp = database_.prepare("UPDATE changes SET at=?2 WHERE id=?1");
  if (!stamp) return std::unexpected(stamp.error());
  if (auto ran = stamp->bind(1, row.id).bind(2, row.changed).run(); !ran) return std::unexpected(ran.error());
  return true;
}

Result<void> State::take_key(const SharedRow& row, const Actor& actor) {
  const json::Value value = *json::parse(row.text);
  StoredKey key = key_of(std::string_view(row.id).substr(kKey.size()), value);
  auto namesake = find_key("name", key.name);
  if (!namesake) return std::unexpected(namesake.error());
  if (*namesake && (*namesake)->id != key.id) key.name += fmt::format(" ({})", key.id);
  return replace_key(key, secrets_of(value), actor);
}

Result<void> State::take_team(const SharedRow& row, const Actor& actor) {
  const json::Value value = *json::parse(row.text);
  const auto text = [&](std::string_view name) { return std::string(json::string_or(value, name, "")); };
  StoredTeam team;
  team.name = row.id.substr(kTeam.size());
  team.parent = text("parent");
  team.scopes = text("scopes");
  team.rules = text("rules");
  team.created = json::int_or(value, "created", 0);
  team.removed = json::int_or(value, "removed", 0);
  return replace_team(team, actor);
}

}  // namespace penstock::store
