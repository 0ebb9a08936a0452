// penstock model list | show | load | unload | pin | unpin | promote | rollback | labels | split | compare | history
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

struct ModelOptions {
  DataFolder folder;
  std::string admin, name, why;
  std::vector<std::string> parts;  // NAME=VERSION
  std::int64_t version = 0;        // 0: the canary
  std::int64_t limit = 50;
  bool configured = false;  // back to the configuration's
  bool json = false;
};

std::string path_of(const ModelOptions& options, std::string_view verb = {}) {
  return fmt::format("/admin/v1/models/{}{}{}", escaped(options.name), verb.empty() ? "" : "/", verb);
}

Result<Object> ask(const ModelOptions& options, std::string_view method, const std::string& path,
                   const Value& body = nullptr) {
  auto client = AdminClient::open(options.admin, options.folder);
  if (!client) return std::unexpected(client.error());
  return client->ask(method, path, body);
}

const Array& list_of(const Value& object, std::string_view name) {
  static const Array kNone;
  const Value* found = json::find(object, name);
  return found != nullptr && found->is_array() ? found->get_array() : kNone;
}

std::string plain(const Value* value) {
  if (value == nullptr || value->is_null()) return {};
  if (value->is_string()) return std::string(value->get_string());
  return json::dump(*value);
}
std::string plain(const Value& object, std::string_view name) { return plain(json::find(object, name)); }

std::string labels_text(const Value& version) {
  std::string text;
  for (const Value& label : list_of(version, "labels")) text += (text.empty() ? "" : ",") + plain(&label);
  return text;
}

// What became of the canary, or how it does; empty without one.
std::string canary_text(const Value& model) {
  const Value* traffic = json::find(model, "traffic");
  const Value* canary = traffic == nullptr ? nullptr : json::find(*traffic, "canary");
  if (canary == nullptr || !canary->is_object()) return {};
  return fmt::format("canary {} ({}): {}", plain(*canary, "version"), json::string_or(*canary, "stage", ""),
                     json::string_or(*canary, "words", ""));
}

void add_rows(TextTable& table, const Value& model) {
  for (const Value& version : list_of(model, "versions")) {
    std::string state = json::bool_or(version, "ready", false) ? "ready" : plain(version, "reason");
    if (json::bool_or(version, "default", false)) state += ", answers by default";
    if (json::bool_or(model, "pinned", false)) state += ", pinned";
    table.add({plain(model, "name"), plain(version, "version"), state, labels_text(version),
               grouped(json::int_or(version, "inferences", 0)), grouped(json::int_or(version, "memory_bytes", 0))});
  }
}

const std::vector<std::string_view> kVersionColumns{"MODEL", "VERSION", "STATE", "LABELS", ">INFERENCES", ">BYTES"};

void print(const Object& model) {
  TextTable table(kVersionColumns);
  add_rows(table, model);
  std::fputs(table.text().c_str(), stdout);
  if (std::string canary = canary_text(model); !canary.empty()) std::printf("%s\n", canary.c_str());
}

Result<int> answered(const ModelOptions& options, const Result<Object>& model) {
  if (!model) return std::unexpected(model.error());
  if (options.json) {
    std::printf("%s\n", json::dump(*model).c_str());
  } else {
    print(*model);
  }
  return 0;
}

Result<int> list(const ModelOptions& options) {
  auto answer = ask(options, "GET", "/admin/v1/models");
  if (!answer) return std::unexpected(answer.error());
  TextTable table(kVersionColumns);
  std::string canaries;
  for (const Value& model : list_of(*answer, "local_models")) {
    if (options.json) std::printf("%s\n", json::dump(model).c_str());
    add_rows(table, model);
    if (std::string canary = canary_text(model); !canary.empty())
      canaries += fmt::format("{}: {}\n", plain(model, "name"), canary);
  }
  if (!options.json) std::fputs((table.text() + canaries).c_str(), stdout);
  return 0;
}

Result<int> show(const ModelOptions& options) { return answered(options, ask(options, "GET", path_of(options))); }

template <const char* kVerb>
Result<int> wish(const ModelOptions& options) {
  return answered(options, ask(options, "POST", path_of(options, kVerb), Object{{"why", text(options.why)}}));
}

Result<int> promote(const ModelOptions& options) {
  Object body{{"why", text(options.why)}};
  if (options.version != 0) body["version"] = options.version;
  return answered(options, ask(options, "POST", path_of(options, "promote"), body));
}

// "stable=3" "next=4", or "3=90%" "4=10%".
Result<int> steer(const ModelOptions& options, std::string_view what) {
  if (options.configured == !options.parts.empty()) {
    return fail(Errc::invalid_argument,
                fmt::format("name all {} there are to be, or give --configured for those of the configuration", what));
  }
  Object map;
  for (const std::string& part : options.parts) {
    std::size_t equals = part.find('=');
    if (equals == std::string::npos || equals == 0)
      return fail(Errc::invalid_argument,
                  fmt::format("'{}' is not NAME=VALUE, such as {}", part, what == "labels" ? "stable=3" : "3=90%"));
    map[part.substr(0, equals)] = text(part.substr(equals + 1));
  }
  Object body{{"why", text(options.why)}};
  body[what] = options.configured ? Value(nullptr) : Value(std::move(map));
  return answered(options, ask(options, "PATCH", path_of(options, "traffic"), body));
}
Result<int> labels(const ModelOptions& options) { return steer(options, "labels"); }
Result<int> split(const ModelOptions& options) { return steer(options, "split"); }

Result<int> compare(const ModelOptions& options) {
  auto answer = ask(options, "GET", path_of(options, "comparison"));
  if (!answer) return std::unexpected(answer.error());
  if (options.json) {
    std::printf("%s\n", json::dump(*answer).c_str());
    return 0;
  }
  TextTable table({"VERSION", ">CALLS", ">FAILURES", ">MEAN MS", ">P50 MS", ">P95 MS", ">P99 MS"});
  for (const Value& version : list_of(*answer, "versions")) {
    std::vector<std::string> cells;
    for (std::string_view name : {"version", "calls", "failures", "mean_ms", "p50_ms", "p95_ms", "p99_ms"}) {
      const Value* value = json::find(version, name);
      cells.push_back(value != nullptr && value->is_double() ? fmt::format("{:.3g}", value->get_double())
                                                             : plain(value));
    }
    table.add(std::move(cells));
  }
  std::fputs(table.text().c_str(), stdout);
  if (std::string canary = canary_text(Object{{"traffic", *answer}}); !canary.empty())
    std::printf("%s\n", canary.c_str());
  return 0;
}

Result<int> history(const ModelOptions& options) {
  auto answer = ask(options, "GET",
                    fmt::format("/admin/v1/model-history?limit={}{}{}", options.limit,
                                options.name.empty() ? "" : "&model=", escaped(options.name)));
  if (!answer) return std::unexpected(answer.error());
  TextTable table({"TIME", "MODEL", "WHAT", "FROM", "TO", "WHO", "WHY"});
  for (const Value& event : list_of(*answer, "events")) {
    if (options.json) std::printf("%s\n", json::dump(event).c_str());
    std::vector<std::string> cells;
    for (std::string_view name : {"at", "model", "action", "from", "to", "actor", "why"})
      cells.push_back(plain(event, name));
    table.add(std::move(cells));
  }
  if (!options.json) std::fputs(table.text().c_str(), stdout);
  return 0;
}

using Run = Result<int> (*)(const ModelOptions&);

constexpr char kLoad[] = "load";
constexpr char kUnload[] = "unload";
constexpr char kPin[] = "pin";
constexpr char kUnpin[] = "unpin";
constexpr char kRollback[] = "rollback";

}  // namespace

CLI::App* add_model_commands(CLI::App& cli, Command& chosen) {
  auto options = std::make_shared<ModelOptions>();
  CLI::App* model = cli.add_subcommand("model", "local models: those of the gateway that runs, and files");
  model->require_subcommand(1);
  model->footer("The admin key, when there is one, is taken from PENSTOCK_ADMIN_KEY.");
  auto add = [&](const char* name, const char* about, Run run) {
    CLI::App* command = model->add_subcommand(name, about);
    add_options(*command, options->folder);
    command->add_option("--admin", options->admin,
                        "the admin API (default: `admin` of --config, else http://127.0.0.1:8081)");
    command->add_flag("--json", options->json, "for programs");
    command->callback([options, run, &chosen] { chosen = [options, run] { return finish(run(*options)); }; });
    return command;
  };
  auto named = [&](CLI::App* command) {
    command->add_option("NAME", options->name, "of the model")->required();
    return command;
  };
  auto changes = [&](const char* name, const char* about, Run run) {
    CLI::App* command = named(add(name, about, run));
    command->add_option("--why", options->why, "for the history");
    return command;
  };
  add("list", "models and their versions", list);
  named(add("show", "a model, its versions and its canary", show));
  named(add("compare", "the versions beside each other", compare));
  changes("load", "load what is new on disk, or take it back into service", wish<kLoad>);
  changes("unload", "take it out of service and give its memory back", wish<kUnload>);
  changes("pin", "keep it from being evicted", wish<kPin>);
  changes("unpin", "let it be evicted", wish<kUnpin>);
  changes("promote", "let the canary, or --version, answer what names no version", promote)
      ->add_option("--version", options->version, "instead of the canary")
      ->check(CLI::PositiveNumber);
  changes("rollback", "take the canary, or what was promoted last, back", wish<kRollback>);
  for (auto [name, about, run, example] :
       {std::tuple{"labels", "all labels, in the place of the configuration's", &labels, "stable=3 next=4"},
        std::tuple{"split", "all shares, in the place of the configuration's", &split, "3=90% 4=10%"}}) {
    CLI::App* command = changes(name, about, run);
    command->add_option("PART", options->parts, example);
    command->add_flag("--configured", options->configured, "back to those of the configuration");
  }
  CLI::App* happened = add("history", "what happened, who wanted it and why; newest first", history);
  happened->add_option("NAME", options->name, "only of this model");
  happened->add_option("--limit", options->limit, "how many")->check(CLI::Range(1, 1000))->capture_default_str();
  return model;
}

}  // namespace penstock::app
