// Teams: what there are, and making, changing and removing them.
#include "app/admin_desk.h"
#include "app/admin_text.h"
#include "app/key_settings.h"
#include "app/key_view.h"

namespace penstock::app {
namespace {

using json::Array;
using json::Object;
using json::Value;

std::unexpected<Error> no_team(std::string_view name) {
  return fail(Errc::not_found, fmt::format("there is no team '{}'; GET /admin/v1/teams shows them", name));
}

Result<Object> list(AdminDesk& desk, const AdminCall& call) {
  auto stored = desk.state->teams();
  if (!stored) return std::unexpected(stored.error());
  Array all;
  for (const Object& team : desk.declared()->teams) all.push_back(team);
  for (const store::StoredTeam& team : *stored) all.push_back(describe(team));
  std::string prefix = call.text("prefix");
  std::size_t from = static_cast<std::size_t>(call.integer("offset", 0));
  std::size_t most = static_cast<std::size_t>(call.integer("limit", 100));
  Array teams;
  std::size_t fitting = 0;
  for (Value& team : all) {
    if (!json::string_or(team, "name", "").starts_with(prefix)) continue;
    if (fitting >= from && teams.size() < most) teams.push_back(std::move(team));
    ++fitting;
  }
  std::size_t next = from + teams.size();
  return Object{
      {"teams", std::move(teams)}, {"total", fitting}, {"next", next < fitting ? Value(next) : Value(nullptr)}};
}

Result<Object> show(AdminDesk& desk, const AdminCall& call) {
  std::string name = call.param("team");
  auto account = describe_account(desk.book, fmt::format("team:{}", name));
  Value state = account ? Value(std::move(*account)) : Value(nullptr);
  auto with_account = [&](Object shown) {
    shown["account"] = std::move(state);
    return shown;
  };
  std::shared_ptr<const Declared> of_file = desk.declared();
  if (const Object* team = declared(of_file->teams, name)) return with_account(*team);
  auto team = desk.state->team(name);
  if (!team) return std::unexpected(team.error());
  if (!*team) return no_team(name);
  return with_account(describe(**team));
}

Result<store::StoredTeam> changeable(AdminDesk& desk, const std::string& name) {
  if (declared(desk.declared()->teams, name) != nullptr) return is_declared("team", name);
  auto team = desk.state->team(name);
  if (!team) return std::unexpected(team.error());
  if (!*team) return no_team(name);
  return std::move(**team);
}

Result<Object> create(AdminDesk& desk, const AdminCall& call) {
  auto team = make_team(call.body, call.now);
  if (!team) return std::unexpected(team.error());
  if (declared(desk.declared()->teams, team->name) != nullptr) return is_declared("team", team->name);
  if (auto fine = check_place(*desk.state, declared_teams(desk), *team); !fine) return std::unexpected(fine.error());
  if (auto done = desk.state->add_team(*team, {call.actor, call.now}); !done) return std::unexpected(done.error());
  desk.keys_changed();
  return describe(*team);
}

Result<Object> update(AdminDesk& desk, const AdminCall& call) {
  auto team = changeable(desk, call.param("team"));
  if (!team) return std::unexpected(team.error());
  if (auto done = change(*team, call.body); !done) return std::unexpected(done.error());
  if (auto fine = check_place(*desk.state, declared_teams(desk), *team); !fine) return std::unexpected(fine.error());
  if (auto done = desk.state->update_team(*team, {call.actor, call.now}); !done) return std::unexpected(done.error());
  desk.keys_changed();
  return describe(*team);
}

Result<Object> remove(AdminDesk& desk, const AdminCall& call) {
  auto team = changeable(desk, call.param("team"));
  if (!team) return std::unexpected(team.error());
  if (auto done = desk.state->remove_team(team->name, {call.actor, call.now}); !done)
    return std::unexpected(done.error());
  desk.keys_changed();
  return describe(*team);
}

}  // namespace

std::vector<std::string> declared_teams(const AdminDesk& desk) {
  std::vector<std::string> names;
  for (const Object& team : desk.declared()->teams) names.emplace_back(team.at("name").as_string());
  return names;
}

std::vector<AdminRoute> team_routes(AdminDesk& desk) {
  std::vector<Field> fields = page_fields();
  fields.insert(fields.begin(), {"prefix", Kind::text, "Only names that begin so."});
  constexpr std::string_view kOne = "/admin/v1/teams/{team}";
  auto with = [&desk](auto handler) { return [&desk, handler](const AdminCall& call) { return handler(desk, call); }; };
  return {{.method = "GET",
           .path = "/admin/v1/teams",
           .name = "listTeams",
           .about = "Teams, declared ones first.",
           .query = std::move(fields),
           .gives = "Teams",
           .answer = with(list)},
          {.method = "POST",
           .path = "/admin/v1/teams",
           .name = "createTeam",
           .about = "Makes a team.",
           .takes = "NewTeam",
           .gives = "Team",
           .status = 201,
           .refusals = {409},
           .answer = with(create)},
          {.method = "GET",
           .path = kOne,
           .name = "getTeam",
           .about = "A team, and how it stands.",
           .gives = "TeamInFull",
           .answer = with(show)},
          {.method = "PATCH",
           .path = kOne,
           .name = "changeTeam",
           .about = "Changes a team; in force with the answer.",
           .takes = "TeamChange",
           .gives = "Team",
           .refusals = {409},
           .answer = with(update)},
          {.method = "DELETE",
           .path = kOne,
           .name = "removeTeam",
           .about = "Removes a team that nobody is in.",
           .gives = "Team",
           .refusals = {409},
           .answer = with(remove)}};
}

}  // namespace penstock::app
