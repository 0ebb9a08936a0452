#include "json/value.h"
#include "store/state.h"

namespace penstock::store {
namespace {

constexpr std::string_view kColumns = "name,parent,scopes,rules,created,removed,revision";

StoredTeam team_of(const Statement& row) {
  return {row.text(0), row.text(1), row.text(2), row.text(3), row.integer(4), row.integer(5), row.integer(6)};
}

// For the audit log.
std::string shown(const StoredTeam& team) {
  json::Object o{{"name", team.name}};
  if (!team.parent.empty()) o["in"] = team.parent;
  for (const auto& [name, text] :
       {std::pair<const char*, const std::string*>{"scopes", &team.scopes}, {"rules", &team.rules}}) {
    if (text->empty()) continue;
    auto value = json::parse(*text);
    o[name] = value ? *value : json::Value(*text);
  }
  return json::dump(o);
}

std::unexpected<Error> unknown(std::string_view name) {
  return fail(Errc::not_found, fmt::format("there is no stored team '{}'", name));
}

}  // namespace

Result<void> State::write_team(const StoredTeam& team) {
  auto revision = next_revision();
  if (!revision) return std::unexpected(revision.error());
  auto statement =
      database_.prepare(fmt::format("INSERT OR REPLACE INTO teams ({}) VALUES (?1,?2,?3,?4,?5,?6,?7)", kColumns));
  if (!statement) return std::unexpected(statement.error());
  statement->bind(1, team.name).bind(2, team.parent).bind(3, team.scopes).bind(4, team.rules).bind(5, team.created);
  return statement->bind(6, team.removed).bind(7, *revision).run();
}

Result<void> State::add_team(const StoredTeam& team, const Actor& actor) {
  return database_.transaction([&]() -> Result<void> {
    auto before = this->team(team.name);
    if (!before) return std::unexpected(before.error());
    if (*before) return fail(Errc::already_exists, fmt::format("a team named '{}' exists already", team.name));
    if (auto written = write_team(team); !written) return written;
    return append_audit(actor, "team.create", "team:" + team.name, "", shown(team));
  });
}

Result<void> State::update_team(const StoredTeam& team, const Actor& actor) {
  return database_.transaction([&]() -> Result<void> {
    auto before = this->team(team.name);
    if (!before) return std::unexpected(before.error());
    if (!*before) return unknown(team.name);
    StoredTeam fresh = team;
    fresh.created = (*before)->created;
    fresh.removed = 0;
    if (auto written = write_team(fresh); !written) return written;
    return append_audit(actor, "team.update", "team:" + team.name, shown(**before), shown(fresh));
  });
}

Result<void> State::remove_team(std::string_view name, const Actor& actor) {
  return database_.transaction([&]() -> Result<void> {
    auto before = team(name);
    if (!before) return std::unexpected(before.error());
    if (!*before) return unknown(name);
    auto members = database_.prepare(
        "SELECT (SELECT COUNT(*) FROM keys WHERE team=?1 AND team<>'' AND revoked=0), (SELECT COUNT(*) FROM teams "
        "WHERE parent=?1 AND removed=0)");
    if (!members) return std::unexpected(members.error());
    if (auto row = members->bind(1, name).step(); !row) return std::unexpected(row.error());
    if (members->integer(0) + members->integer(1) > 0) {
      return fail(Errc::failed_precondition,
                  fmt::format("the team '{}' still has {} keys and {} teams: revoke or move them first", name,
                              members->integer(0), members->integer(1)));
    }
    StoredTeam gone = **before;
    gone.removed = actor.at;
    if (auto written = write_team(gone); !written) return written;
    return append_audit(actor, "team.remove", fmt::format("team:{}", name), shown(**before), "");
  });
}

Result<void> State::replace_team(const StoredTeam& team, const Actor& actor) {
  auto before = find_team(team.name);
  if (!before) return std::unexpected(before.error());
  if (auto written = write_team(team); !written) return written;
  return append_audit(actor, "team.put", "team:" + team.name, *before ? shown(**before) : "", shown(team));
}

Result<std::optional<StoredTeam>> State::find_team(std::string_view name) {
  auto statement = database_.prepare(fmt::format("SELECT {} FROM teams WHERE name=?", kColumns));
  if (!statement) return std::unexpected(statement.error());
  auto row = statement->bind(1, name).step();
  if (!row) return std::unexpected(row.error());
  if (!*row) return std::nullopt;
  return team_of(*statement);
}

Result<std::optional<StoredTeam>> State::team(std::string_view name) {
  auto found = find_team(name);
  if (found && *found && (*found)->removed != 0) found->reset();
  return found;
}

Result<std::vector<StoredTeam>> State::teams() {
  auto statement = database_.prepare(fmt::format("SELECT {} FROM teams WHERE removed=0 ORDER BY name", kColumns));
  if (!statement) return std::unexpected(statement.error());
  std::vector<StoredTeam> teams;
  while (true) {
    auto row = statement->step();
    if (!row) return std::unexpected(row.error());
    if (!*row) return teams;
    teams.push_back(team_of(*statement));
  }
}

}  // namespace penstock::store
