// penstock key create | list | show | update | rotate | revoke
#include <CLI/CLI.hpp>
#include <cstdio>

#include "app/admin_text.h"
#include "app/command_groups.h"
#include "app/data_folder.h"
#include "app/key_settings.h"
#include "app/key_view.h"
#include "app/setting_options.h"
#include "app/text_table.h"
#include "base/quantity.h"

namespace penstock::app {
namespace {

using json::Object;
using json::Value;

struct KeyOptions {
  DataFolder folder;
  SettingOptions settings;
  std::string name;  // or id
  std::string team, priority, expires, labels, overlap, prefix;
  bool json = false;
  bool revoked = false;
};

base::WallMicros now() { return base::system_clock().wall(); }

std::unexpected<Error> no_key(const std::string& name) {
  return fail(
      Errc::not_found,
      fmt::format("there is no stored key in force with the name or id '{}'; `penstock key list` shows them, and "
                  "those of the configuration file are changed there",
                  name));
}

Result<store::StoredKey> find(store::State& state, const std::string& name) {
  auto key = state.key(name);
  if (!key) return std::unexpected(key.error());
  if (!*key || (*key)->revoked != 0) return no_key(name);
  return std::move(**key);
}

// "app=billing,stage=test"
Result<Value> labels_of(const std::string& given) {
  if (given == "none") return nullptr;
  Object labels;
  for (const std::string& part : split_commas(given)) {
    std::size_t equals = part.find('=');
    if (equals == std::string::npos)
      return fail(Errc::invalid_argument, fmt::format("--labels: '{}' is none; write name=value,name=value", part));
    std::string value = part.substr(equals + 1);
    labels[part.substr(0, equals)] = value == "none" ? Value(nullptr) : text(value);
  }
  return labels;
}

Result<Object> settings_of(const KeyOptions& options, std::string_view shape_name) {
  auto settings = settings_of(options.settings);
  if (!settings) return settings;
  add_text(*settings, "team", options.team);
  add_text(*settings, "priority", options.priority);
  add_text(*settings, "expires", options.expires);
  if (!options.labels.empty()) {
    auto labels = labels_of(options.labels);
    if (!labels) return std::unexpected(labels.error());
    (*settings)["labels"] = std::move(*labels);
  }
  if (shape_name == "NewKey") (*settings)["name"] = text(options.name);
  return read_body(json::dump(*settings), shape(shape_name));
}

void print(const Object& shown) { std::printf("%s\n", json::dump(shown).c_str()); }

void print_secret(const FreshSecret& fresh, const store::StoredKey& key, bool as_json) {
  if (as_json) {
    print(Object{{"secret", text(fresh.secret.reveal())}, {"key", describe(key, now())}});
    return;
  }
  std::printf("%s\n", std::string(fresh.secret.reveal()).c_str());
}

Result<int> create(const KeyOptions& options) {
  auto settings = settings_of(options, "NewKey");
  if (!settings) return std::unexpected(settings.error());
  auto dir = options.folder.path();
  if (!dir) return std::unexpected(dir.error());
  auto state = store::State::open(*dir);
  if (!state) return std::unexpected(state.error());
  auto installation = state->installation_secret();
  if (!installation) return std::unexpected(installation.error());
  auto fresh = make_key(*settings, *installation, now());
  if (!fresh) return std::unexpected(fresh.error());
  auto declared = options.folder.declared_teams();
  if (!declared) return std::unexpected(declared.error());
  if (auto known = check_team(*state, *declared, fresh->key.team, "--team"); !known)
    return std::unexpected(known.error());
  if (auto added = state->add_key(fresh->key, fresh->stored, command_line_actor()); !added)
    return std::unexpected(added.error());
  print_secret({fresh->stored, fresh->secret}, fresh->key, options.json);
  std::fprintf(stderr, "This is the only time the key '%s' (id %s) is shown. Only a hash of it is kept, in %s.\n",
               fresh->key.name.c_str(), fresh->key.id.c_str(), dir->c_str());
  return 0;
}

Result<int> list(const KeyOptions& options) {
  auto state = options.folder.open_state();
  if (!state) return std::unexpected(state.error());
  store::KeyQuery query;
  query.prefix = options.prefix;
  query.team = options.team;
  query.revoked = options.revoked || !options.json;
  query.limit = 1000;
  TextTable table({"ID", "NAME", "TEAM", "MODELS", "LIMITS", "BUDGET", "STATE", "LAST USED"});
  while (true) {
    auto keys = state->keys(query);
    if (!keys) return std::unexpected(keys.error());
    if (keys->empty()) break;
    for (const store::StoredKey& key : *keys) {
      Object shown = describe(key, now());
      if (options.json) {
        print(shown);
        continue;
      }
      std::string status(state_of(key, now()));
      if (key.revoked != 0) status += " " + base::to_rfc3339(key.revoked);
      if (key.revoked == 0 && key.expires > now()) status += ", expires " + base::to_rfc3339(key.expires);
      table.add({key.id, key.name, key.team, list_text(shown, "models"), limits_text(shown), budgets_text(shown),
                 status, key.last_used == 0 ? "" : base::to_rfc3339(key.last_used)});
    }
    query.after = keys->back().name;
  }
  if (!options.json) std::fputs(table.text().c_str(), stdout);
  return 0;
}

Result<int> show(const KeyOptions& options) {
  auto state = options.folder.open_state_to_read();
  if (!state) return std::unexpected(state.error());
  auto key = state->key(options.name);
  if (!key) return std::unexpected(key.error());
  if (!*key) return no_key(options.name);
  Object shown = describe(**key, now());
  if (options.json) {
    print(shown);
    return 0;
  }
  TextTable table({"WHAT", "VALUE"});
  for (std::string_view name : {"id", "name", "state", "team", "priority", "created", "expires", "last_used"})
    table.add({std::string(name), std::string(json::string_or(shown, name, ""))});
  for (std::string_view name : {"models", "apis", "can", "from"})
    table.add({std::string(name), list_text(shown, name)});
  table.add({"limits", limits_text(shown)});
  table.add({"budget", budgets_text(shown)});
  table.add({"labels", json::dump(shown["labels"])});
  std::fputs(table.text().c_str(), stdout);
  return 0;
}

Result<int> update(const KeyOptions& options) {
  auto changes = settings_of(options, "KeyChange");
  if (!changes) return std::unexpected(changes.error());
  if (changes->empty()) return fail(Errc::invalid_argument, "nothing to change was said; `penstock key update --help`");
  auto state = options.folder.open_state();
  if (!state) return std::unexpected(state.error());
  auto key = find(*state, options.name);
  if (!key) return std::unexpected(key.error());
  if (auto done = change(*key, *changes, now()); !done) return std::unexpected(done.error());
  auto declared = options.folder.declared_teams();
  if (!declared) return std::unexpected(declared.error());
  if (auto known = check_team(*state, *declared, key->team, "--team"); !known) return std::unexpected(known.error());
  if (auto done = state->update_key(*key, command_line_actor()); !done) return std::unexpected(done.error());
  if (options.json) {
    print(describe(*key, now()));
  } else {
    std::printf("updated %s; a running gateway takes it over within a second\n", key->name.c_str());
  }
  return 0;
}

Result<int> rotate(const KeyOptions& options) {
  auto overlap = base::parse_duration(options.overlap);
  if (!overlap) return fail(Errc::invalid_argument, "--overlap: " + overlap.error().detail);
  auto state = options.folder.open_state();
  if (!state) return std::unexpected(state.error());
  auto key = find(*state, options.name);
  if (!key) return std::unexpected(key.error());
  auto installation = state->installation_secret();
  if (!installation) return std::unexpected(installation.error());
  FreshSecret fresh = make_secret(key->id, *installation, now());
  base::WallMicros old_until = now() + std::chrono::duration_cast<std::chrono::microseconds>(*overlap).count();
  auto rotated = state->rotate_key(key->id, fresh.stored, old_until, command_line_actor());
  if (!rotated) return std::unexpected(rotated.error());
  print_secret(fresh, *rotated, options.json);
  std::fprintf(stderr, "This is the only time the new secret of '%s' is shown. The old one works until %s.\n",
               rotated->name.c_str(), base::to_rfc3339(old_until).c_str());
  return 0;
}

Result<int> revoke(const KeyOptions& options) {
  auto state = options.folder.open_state();
  if (!state) return std::unexpected(state.error());
  auto count = state->revoke_key(options.name, command_line_actor());
  if (!count) return std::unexpected(count.error());
  if (*count == 0) return no_key(options.name);
  std::printf("revoked %s; a running gateway refuses it within a second\n", options.name.c_str());
  return 0;
}

}  // namespace

void add_key_commands(CLI::App& cli, Command& chosen) {
  auto options = std::make_shared<KeyOptions>();
  CLI::App* key = cli.add_subcommand("key", "virtual keys");
  key->require_subcommand(1);
  auto add = [&](const char* name, const char* about, Result<int> (*run)(const KeyOptions&)) {
    CLI::App* command = key->add_subcommand(name, about);
    add_options(*command, options->folder);
    command->callback([options, run, &chosen] { chosen = [options, run] { return finish(run(*options)); }; });
    return command;
  };
  auto settings = [&](CLI::App* command) {
    add_options(*command, options->settings);
    command->add_option("--expires", options->expires, "lifetime, for example 30d, or a time");
    command->add_option("--team", options->team, "the team it belongs to");
    command->add_option("--labels", options->labels, "name=value,name=value: names of your own");
    command->add_option("--priority", options->priority, "critical, high, normal or low (default: normal)");
  };
  auto json = [&](CLI::App* command) { command->add_flag("--json", options->json, "for programs"); };
  auto named = [&](CLI::App* command) { command->add_option("NAME", options->name, "its name or id")->required(); };

  CLI::App* made = add("create", "make a key; it is shown once", create);
  made->add_option("--name", options->name, "what it is for")->required();
  settings(made);
  json(made);
  CLI::App* listed = add("list", "stored keys", list);
  listed->add_option("--prefix", options->prefix, "only names that begin so");
  listed->add_option("--team", options->team, "only those of a team");
  listed->add_flag("--revoked", options->revoked, "with --json: also those that are revoked");
  json(listed);
  CLI::App* shown = add("show", "all about a key", show);
  named(shown);
  json(shown);
  CLI::App* updated = add("update", "change a key; `none` takes a thing away", update);
  named(updated);
  settings(updated);
  json(updated);
  CLI::App* rotated = add("rotate", "give a key a new secret; it is shown once", rotate);
  named(rotated);
  rotated->add_option("--overlap", options->overlap, "how long the old secret still works")
      ->default_str("0")
      ->default_val("0");
  json(rotated);
  named(add("revoke", "refuse a key from now on", revoke));
}

}  // namespace penstock::app
