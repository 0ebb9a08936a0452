// penstock team create | list | show | update | remove
#include <CLI/CLI.hpp>
#include <cstdio>

#include "app/admin_text.h"
#include "app/command_groups.h"
#include "app/data_folder.h"
#include "app/key_settings.h"
#include "app/key_view.h"
#include "app/setting_options.h"
#include "app/text_table.h"

namespace penstock::app {
namespace {

using json::Object;

struct TeamOptions {
  DataFolder folder;
  SettingOptions settings;
  std::string name, in;
  bool json = false;
};

Result<Object> settings_of(const TeamOptions& options, std::string_view shape_name) {
  auto settings = settings_of(options.settings);
  if (!settings) return settings;
  add_text(*settings, "in", options.in);
  if (shape_name == "NewTeam") (*settings)["name"] = text(options.name);
  return read_body(json::dump(*settings), shape(shape_name));
}

Result<store::StoredTeam> find(store::State& state, const std::string& name) {
  auto team = state.team(name);
  if (!team) return std::unexpected(team.error());
  if (*team) return std::move(**team);
  return fail(Errc::not_found,
              fmt::format("there is no stored team '{}'; `penstock team list` shows them, and those of "
                          "the configuration file are changed there",
                          name));
}

void print(const store::StoredTeam& team, bool as_json, const char* done) {
  if (as_json) {
    std::printf("%s\n", json::dump(describe(team)).c_str());
  } else {
    std::printf("%s %s; a running gateway takes it over within a second\n", done, team.name.c_str());
  }
}

Result<int> create(const TeamOptions& options) {
  auto settings = settings_of(options, "NewTeam");
  if (!settings) return std::unexpected(settings.error());
  auto state = options.folder.open_state();
  if (!state) return std::unexpected(state.error());
  store::Actor actor = command_line_actor();
  auto team = make_team(*settings, actor.at);
  if (!team) return std::unexpected(team.error());
  auto declared = options.folder.declared_teams();
  if (!declared) return std::unexpected(declared.error());
  if (auto fine = check_place(*state, *declared, *team); !fine) return std::unexpected(fine.error());
  if (auto added = state->add_team(*team, actor); !added) return std::unexpected(added.error());
  print(*team, options.json, "made");
  return 0;
}

Result<int> list(const TeamOptions& options) {
  auto state = options.folder.open_state();
  if (!state) return std::unexpected(state.error());
  auto teams = state->teams();
  if (!teams) return std::unexpected(teams.error());
  TextTable table({"NAME", "IN", "MODELS", "LIMITS", "BUDGET"});
  for (const store::StoredTeam& team : *teams) {
    Object shown = describe(team);
    if (options.json) {
      std::printf("%s\n", json::dump(shown).c_str());
    } else {
      table.add({team.name, team.parent, list_text(shown, "models"), limits_text(shown), budgets_text(shown)});
    }
  }
  if (!options.json) std::fputs(table.text().c_str(), stdout);
  return 0;
}

Result<int> show(const TeamOptions& options) {
  auto state = options.folder.open_state();
  if (!state) return std::unexpected(state.error());
  auto team = find(*state, options.name);
  if (!team) return std::unexpected(team.error());
  Object shown = describe(*team);
  if (options.json) {
    std::printf("%s\n", json::dump(shown).c_str());
    return 0;
  }
  TextTable table({"WHAT", "VALUE"});
  table.add({"name", team->name});
  table.add({"in", team->parent});
  for (std::string_view name : {"models", "apis", "can", "from"})
    table.add({std::string(name), list_text(shown, name)});
  table.add({"limits", limits_text(shown)});
  table.add({"budget", budgets_text(shown)});
  std::fputs(table.text().c_str(), stdout);
  return 0;
}

Result<int> update(const TeamOptions& options) {
  auto changes = settings_of(options, "TeamChange");
  if (!changes) return std::unexpected(changes.error());
  if (changes->empty())
    return fail(Errc::invalid_argument, "nothing to change was said; `penstock team update --help`");
  auto state = options.folder.open_state();
  if (!state) return std::unexpected(state.error());
  auto team = find(*state, options.name);
  if (!team) return std::unexpected(team.error());
  if (auto done = change(*team, *changes); !done) return std::unexpected(done.error());
  auto declared = options.folder.declared_teams();
  if (!declared) return std::unexpected(declared.error());
  if (auto fine = check_place(*state, *declared, *team); !fine) return std::unexpected(fine.error());
  if (auto done = state->update_team(*team, command_line_actor()); !done) return std::unexpected(done.error());
  print(*team, options.json, "updated");
  return 0;
}

Result<int> remove(const TeamOptions& options) {
  auto state = options.folder.open_state();
  if (!state) return std::unexpected(state.error());
  auto team = find(*state, options.name);
  if (!team) return std::unexpected(team.error());
  if (auto done = state->remove_team(options.name, command_line_actor()); !done) return std::unexpected(done.error());
  print(*team, options.json, "removed");
  return 0;
}

}  // namespace

void add_team_commands(CLI::App& cli, Command& chosen) {
  auto options = std::make_shared<TeamOptions>();
  CLI::App* team = cli.add_subcommand("team", "organisations and teams that keys belong to");
  team->require_subcommand(1);
  auto add = [&](const char* name, const char* about, Result<int> (*run)(const TeamOptions&)) {
    CLI::App* command = team->add_subcommand(name, about);
    add_options(*command, options->folder);
    command->add_flag("--json", options->json, "for programs");
    command->callback([options, run, &chosen] { chosen = [options, run] { return finish(run(*options)); }; });
    return command;
  };
  auto settings = [&](CLI::App* command) {
    command->add_option("NAME", options->name, "its name")->required();
    add_options(*command, options->settings);
    command->add_option("--in", options->in, "the team above it");
  };
  settings(add("create", "make a team", create));
  add("list", "stored teams", list);
  add("show", "all about a team", show)->add_option("NAME", options->name, "its name")->required();
  settings(add("update", "change a team; `none` takes a thing away", update));
  add("remove", "remove a team that nobody is in", remove)->add_option("NAME", options->name, "its name")->required();
}

}  // namespace penstock::app
