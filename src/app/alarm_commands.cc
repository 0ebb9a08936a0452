// penstock alarm list | history | ack | shelve | unshelve
// penstock action list | history | hold | release | force
#include <CLI/CLI.hpp>
#include <cstdio>

#include "app/admin_client.h"
#include "app/admin_text.h"
#include "app/command_groups.h"
#include "app/data_folder.h"
#include "app/key_view.h"
#include "app/setting_options.h"
#include "app/text_table.h"

namespace penstock::app {
namespace {

using json::Array;
using json::Object;
using json::Value;

struct LaneOptions {
  DataFolder folder;
  std::string admin, pipeline, name, device, why, until, since, what;
  std::int64_t limit = 50;
  bool json = false;
};

Result<Object> ask(const LaneOptions& options, std::string_view method, const std::string& path,
                   const Value& body = nullptr) {
  auto client = AdminClient::open(options.admin, options.folder);
  if (!client) return std::unexpected(client.error());
  return client->ask(method, path, body);
}

std::string plain(const Value& object, std::string_view name) {
  const Value* value = json::find(object, name);
  if (value == nullptr || value->is_null()) return {};
  if (value->is_string()) return std::string(value->get_string());
  return json::dump(*value);
}

const Array& list_of(const Value& object, std::string_view name) {
  static const Array kNone;
  const Value* found = json::find(object, name);
  return found != nullptr && found->is_array() ? found->get_array() : kNone;
}

// One line each for programs, else a table.
void print(const LaneOptions& options, const Array& rows, const std::vector<std::string_view>& columns,
           const std::function<std::vector<std::string>(const Value&)>& cells_of) {
  TextTable table(columns);
  for (const Value& row : rows) {
    if (options.json) std::printf("%s\n", json::dump(row).c_str());
    table.add(cells_of(row));
  }
  if (!options.json) std::fputs(table.text().c_str(), stdout);
}

std::vector<std::string> cells(const Value& row, std::initializer_list<std::string_view> names) {
  std::vector<std::string> found;
  for (std::string_view name : names) found.push_back(plain(row, name));
  return found;
}

std::string state_of(const Value& alarm) {
  std::string state = plain(alarm, "state");
  if (std::string by = plain(alarm, "acknowledged_by"); !by.empty()) state += " by " + by;
  if (json::bool_or(alarm, "escalated", false)) state += ", escalated";
  if (json::bool_or(alarm, "shelved", false)) state += ", shelved";
  return state;
}

Result<int> list_alarms(const LaneOptions& options) {
  auto answer = ask(options, "GET", "/admin/v1/alarms");
  if (!answer) return std::unexpected(answer.error());
  Array rows = list_of(*answer, "active");
  for (const Value& alarm : list_of(*answer, "returned")) rows.push_back(alarm);
  print(options, rows, {"SINCE", "PIPELINE", "ALARM", "DEVICE", "SEVERITY", "STATE", "WHY"}, [](const Value& alarm) {
    std::vector<std::string> found = cells(alarm, {"at", "pipeline", "name", "device", "severity"});
    found.push_back(state_of(alarm));
    found.push_back(plain(alarm, "why"));
    return found;
  });
  if (options.json) return 0;
  for (const Value& shelf : list_of(*answer, "shelves")) {
    std::string device = plain(shelf, "device");
    std::printf("shelved until %s: %s/%s%s%s, by %s\n", plain(shelf, "until").c_str(), plain(shelf, "pipeline").c_str(),
                plain(shelf, "name").c_str(), device.empty() ? "" : " of ", device.c_str(), plain(shelf, "by").c_str());
  }
  return 0;
}

Result<int> history(const LaneOptions& options, std::string_view path) {
  std::string query = fmt::format("/admin/v1/{}?limit={}", path, options.limit);
  for (const auto& [name, value] : {std::pair<const char*, const std::string*>{"pipeline", &options.pipeline},
                                    {"name", &options.name},
                                    {"device", &options.device},
                                    {"what", &options.what},
                                    {"since", &options.since}}) {
    if (!value->empty()) query += fmt::format("&{}={}", name, escaped(*value));
  }
  auto answer = ask(options, "GET", query);
  if (!answer) return std::unexpected(answer.error());
  print(options, list_of(*answer, "events"), {"TIME", "PIPELINE", "NAME", "DEVICE", "WHAT", "WHO", "WHY"},
        [](const Value& event) { return cells(event, {"at", "pipeline", "name", "device", "what", "actor", "why"}); });
  return 0;
}
Result<int> alarm_history(const LaneOptions& options) { return history(options, "alarm-history"); }
Result<int> action_history(const LaneOptions& options) { return history(options, "action-history"); }

Object choice(const LaneOptions& options) {
  Object body{{"name", text(options.name)}};
  if (!options.pipeline.empty()) body["pipeline"] = text(options.pipeline);
  if (!options.device.empty()) body["device"] = text(options.device);
  if (!options.why.empty()) body["why"] = text(options.why);
  if (!options.until.empty()) body["until"] = text(options.until);
  return body;
}

Result<int> change_alarms(const LaneOptions& options, std::string_view verb, std::string_view done) {
  auto answer = ask(options, "POST", fmt::format("/admin/v1/alarms/{}", verb), choice(options));
  if (!answer) return std::unexpected(answer.error());
  if (options.json) {
    std::printf("%s\n", json::dump(*answer).c_str());
  } else {
    std::printf("%lld %.*s\n", static_cast<long long>(json::int_or(*answer, "count", 0)), static_cast<int>(done.size()),
                done.data());
  }
  return 0;
}
Result<int> acknowledge(const LaneOptions& options) { return change_alarms(options, "acknowledge", "acknowledged"); }
Result<int> shelve(const LaneOptions& options) { return change_alarms(options, "shelve", "shelved"); }
Result<int> unshelve(const LaneOptions& options) { return change_alarms(options, "unshelve", "taken back"); }

void print_actions(const LaneOptions& options, const Object& answer) {
  print(options, list_of(answer, "actions"), {"PIPELINE", "ACTION", "ON", "DOES", "STATE", "LAST"},
        [](const Value& action) {
          std::vector<std::string> found = cells(action, {"pipeline", "name", "on", "does"});
          const Value* hold = json::find(action, "hold");
          bool held = hold != nullptr && hold->is_object();
          std::string state = held ? "held by " + plain(*hold, "by") : "ready";
          if (json::bool_or(action, "dry_run", false)) state += ", dry run";
          found.push_back(state);
          const Value* last = json::find(action, "last");
          std::string words = last == nullptr ? "" : plain(*last, "what");
          if (last != nullptr) {
            for (auto [name, before] : {std::pair("device", " "), {"why", ": "}}) {
              if (std::string word = plain(*last, name); !word.empty()) words += before + word;
            }
          }
          found.push_back(words);
          return found;
        });
}

Result<int> list_actions(const LaneOptions& options) {
  auto answer = ask(options, "GET", "/admin/v1/actions");
  if (!answer) return std::unexpected(answer.error());
  print_actions(options, *answer);
  return 0;
}

template <const char* kVerb>
Result<int> steer(const LaneOptions& options) {
  auto answer = ask(options, "POST", fmt::format("/admin/v1/actions/{}", kVerb), choice(options));
  if (!answer) return std::unexpected(answer.error());
  print_actions(options, *answer);
  return 0;
}

constexpr char kHold[] = "hold";
constexpr char kRelease[] = "release";
constexpr char kForce[] = "force";

using Run = Result<int> (*)(const LaneOptions&);

// A group with what all of its commands take.
struct Group {
  CLI::App* app;
  std::shared_ptr<LaneOptions> options = std::make_shared<LaneOptions>();
  Command& chosen;

  CLI::App* add(const char* name, const char* about, Run run) {
    CLI::App* command = app->add_subcommand(name, about);
    add_options(*command, options->folder);
    command->add_option("--admin", options->admin,
                        "the admin API (default: `admin` of --config, else http://127.0.0.1:8081)");
    command->add_flag("--json", options->json, "for programs");
    command->callback(
        [options = options, run, &chosen = chosen] { chosen = [options, run] { return finish(run(*options)); }; });
    return command;
  }
  void add_history(Run run) {
    CLI::App* command = add("history", "what happened, also before a restart; newest first", run);
    command->add_option("--pipeline", options->pipeline, "only of this one");
    command->add_option("--name", options->name, "only of this one");
    command->add_option("--device", options->device, "only of this one");
    command->add_option("--what", options->what, "only this, such as raised or confirmed");
    command->add_option("--since", options->since, "a time, or a duration before now");
    command->add_option("--limit", options->limit, "how many")->check(CLI::Range(1, 10'000))->capture_default_str();
  }
};

Group group_of(CLI::App& cli, Command& chosen, const char* name, const char* about) {
  CLI::App* app = cli.add_subcommand(name, about);
  app->require_subcommand(1);
  app->footer("The admin key, when there is one, is taken from PENSTOCK_ADMIN_KEY.");
  return {.app = app, .chosen = chosen};
}

}  // namespace

void add_alarm_commands(CLI::App& cli, Command& chosen) {
  Group group = group_of(cli, chosen, "alarm", "alarms of the gateway that runs");
  auto options = group.options;
  auto some = [&](const char* name, const char* about, Run run) {
    CLI::App* command = group.add(name, about, run);
    command->add_option("NAME", options->name, "of the alarm")->required();
    command->add_option("--device", options->device, "only of this one");
    command->add_option("--why", options->why, "for the history");
    return command;
  };
  group.add("list", "what stands, and what cleared and nobody acknowledged", list_alarms);
  group.add_history(alarm_history);
  some("ack", "somebody has seen it", acknowledge)->add_option("--pipeline", options->pipeline, "only of this one");
  CLI::App* shelving = some("shelve", "nobody is told of it for a while", shelve);
  shelving->add_option("--pipeline", options->pipeline, "which has it")->required();
  shelving->add_option("--until", options->until, "a time, or a duration from now: 8h")->required();
  some("unshelve", "take it back", unshelve)->add_option("--pipeline", options->pipeline, "only of this one");
}

void add_action_commands(CLI::App& cli, Command& chosen) {
  Group group = group_of(cli, chosen, "action", "what pipelines of the gateway that runs do by themselves");
  auto options = group.options;
  auto one = [&](const char* name, const char* about, Run run) {
    CLI::App* command = group.add(name, about, run);
    command->add_option("PIPELINE", options->pipeline, "which has it")->required();
    command->add_option("NAME", options->name, "of the action")->required();
    command->add_option("--why", options->why, "for the history");
    return command;
  };
  group.add("list", "actions, and what became of them last", list_actions);
  group.add_history(action_history);
  one("hold", "keep it from being made", steer<kHold>);
  one("release", "let it be made again", steer<kRelease>);
  one("force", "make it now, whatever its conditions say", steer<kForce>)
      ->add_option("--device", options->device, "for which")
      ->required();
}

}  // namespace penstock::app
