#include <algorithm>

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

base::WallMicros newest(const std::vector<StoredSecret>& secrets) {
  base::WallMicros at = 0;
  for (const StoredSecret& secret : secrets) at = std::max(at, secret.created);
  return at;
}

bool same(const std::vector<StoredSecret>& a, const std::vector<StoredSecret>& b) {
  const auto equal = [](const StoredSecret& x, const StoredSecret& y) {
    return x.hash == y.hash && x.expires == y.expires;
  };
  return std::ranges::is_permutation(a, b, equal);
}

// What both sides have ends at the earlier end. What only one has is newer than all of the other, or the other has
// rotated it away: a rotation makes the newest.
std::vector<StoredSecret> merged(const std::vector<StoredSecret>& ours, const std::vector<StoredSecret>& theirs) {
  std::vector<StoredSecret> all;
  const auto find = [](const std::vector<StoredSecret>& in, const std::string& hash) {
    return std::ranges::find(in, hash, &StoredSecret::hash);
  };
  for (StoredSecret secret : ours) {
    auto there = find(theirs, secret.hash);
    if (there == theirs.end() && secret.created <= newest(theirs)) continue;
    if (there != theirs.end() && there->expires != 0 && (secret.expires == 0 || there->expires < secret.expires))
      secret.expires = there->expires;
    all.push_back(std::move(secret));
  }
  for (const StoredSecret& secret : theirs) {
    if (find(ours, secret.hash) == ours.end() && secret.created > newest(ours)) all.push_back(secret);
  }
  return all;
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

// A key in force that was changed here at `at` and elsewhere: the later change has the settings, the secrets are those
// of both, so that none comes back that was rotated away. What differs from theirs is a change for them to hear of.
// Nothing: it is as it is here.
Result<std::optional<SharedRow>> merged(State& state, const SharedRow& theirs, base::WallMicros at) {
  const std::string id = theirs.id.substr(kKey.size());
  const json::Value value = *json::parse(theirs.text);
  auto ours = state.key(id);
  if (!ours || !*ours) return ours ? fail(Errc::not_found, theirs.id) : std::unexpected(ours.error());
  auto known = state.secrets(id);
  if (!known) return std::unexpected(known.error());
  const std::vector<StoredSecret> told = secrets_of(value);
  const std::vector<StoredSecret> both = merged(*known, told);
  const bool later_here = at >= theirs.changed;
  if (later_here && same(both, *known)) return std::nullopt;
  SharedRow row = theirs;
  row.text = text_of(later_here ? **ours : key_of(id, value), both);
  if (later_here || !same(both, told)) row.changed = std::max(at, theirs.changed) + 1;
  return row;
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
  const base::WallMicros at = *found ? known->integer(0) : 0;
  const bool revoked = *found && known->integer(1) != 0;
  const bool key = row.id.starts_with(kKey);
  if (!key && !row.id.starts_with(kTeam)) return false;
  if (auto value = json::parse(row.text); !value || !value->is_object()) return false;
  SharedRow newer = row;
  if (*found && key && !revoked && !row.revoked) {
    auto both = merged(*this, row, at);
    if (!both || !*both) return both ? Result<bool>(false) : std::unexpected(both.error());
    newer = std::move(**both);
  } else if (*found && std::pair(revoked, at) >= std::pair(row.revoked, row.changed)) {
    return false;
  }
  const Actor actor{"shared", newer.changed};
  if (auto taken = key ? take_key(newer, actor) : take_team(newer, actor); !taken)
    return std::unexpected(taken.error());
  auto stamp = database_.prepare("UPDATE changes SET at=?2 WHERE id=?1");
  if (!stamp) return std::unexpected(stamp.error());
  if (auto ran = stamp->bind(1, newer.id).bind(2, newer.changed).run(); !ran) return std::unexpected(ran.error());
  return true;
}

Result<void> State::take_key(const SharedRow& row, const Actor& actor) {
  const json::Value value = *json::parse(row.text);
  StoredKey key = key_of(std::string_view(row.id).substr(kKey.size()), value);
  const std::string taken = key.name;
  auto namesake = find_key("name", taken);
  if (!namesake) return std::unexpected(namesake.error());
  if (*namesake && (*namesake)->id != key.id) {
    // The one that was made first keeps the name, at every gateway.
    StoredKey& known = **namesake;
    const bool here = std::pair(known.created, known.id) > std::pair(key.created, key.id);
    StoredKey& yields = here ? known : key;
    yields.name += fmt::format(" ({})", yields.id);
    if (here) {
      if (auto written = write_key(known); !written) return written;
    }
    auto told =
        append_audit(actor, "key.rename", std::string(kKey) + yields.id, json::dump(json::Object{{"name", taken}}),
                     json::dump(json::Object{{"name", yields.name}}));
    if (!told) return told;
  }
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
