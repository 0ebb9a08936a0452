// penstock usage, penstock budget list | adjust, penstock price list | show, penstock audit list | verify
#include <CLI/CLI.hpp>
#include <cstdio>

#include "app/admin_client.h"
#include "app/admin_shape.h"
#include "app/admin_text.h"
#include "app/command_groups.h"
#include "app/data_folder.h"
#include "app/key_view.h"
#include "app/setting_options.h"
#include "app/text_table.h"
#include "price/listing.h"
#include "store/usage_export.h"

namespace penstock::app {
namespace {

using json::Object;
using json::Value;

struct ReportOptions {
  DataFolder folder;
  std::string since = "24h";
  std::string until, key, team, model, target, api;
  std::string by = "key,model";
  std::string order = "requests";
  std::string format = "table";
  std::string admin, account, budget, amount, search;
  std::int64_t limit = 0;
  bool json = false;
};

Result<store::UsageQuery> query_of(const ReportOptions& options) {
  store::UsageQuery query;
  base::WallMicros now = base::system_clock().wall();
  auto since = read_time(options.since, now);
  if (!since) return fail(Errc::invalid_argument, "--since: " + since.error().detail);
  query.since = *since;
  if (!options.until.empty()) {
    auto until = read_time(options.until, now);
    if (!until) return fail(Errc::invalid_argument, "--until: " + until.error().detail);
    query.until = *until;
  }
  if (auto known = store::parse_group_by(options.by, query); !known)
    return fail(Errc::invalid_argument, "--by: " + known.error().detail);
  auto order = store::parse_order(options.order);
  if (!order) return fail(Errc::invalid_argument, "--order: " + order.error().detail);
  query.order = *order;
  const std::array<const std::string*, store::kUsageDimensions.size()> only{&options.key, &options.team, &options.model,
                                                                            &options.target, &options.api};
  for (std::size_t i = 0; i < only.size(); ++i) {
    if (!only[i]->empty()) query.only[i] = *only[i];
  }
  query.limit = options.limit;
  return query;
}

std::vector<std::string> cells_of(const store::UsageQuery& query, const store::UsageRow& row) {
  std::vector<std::string> cells;
  if (query.per != store::UsageGrain::whole) cells.push_back(row.at == 0 ? "" : base::to_rfc3339(row.at).substr(0, 16));
  for (std::size_t i = 0; i < query.by.size(); ++i) {
    if (query.by[i]) cells.push_back(row.*store::kUsageDimensions[i].member);
  }
  const store::UsageSums& used = row.used;
  for (std::int64_t figure : {used.requests, used.errors, used.input_tokens, used.output_tokens, used.cached_tokens})
    cells.push_back(grouped(figure));
  // What has no price is not free.
  cells.push_back(dollars(used.cost_micros) + (used.unpriced_requests > 0 ? " + ?" : ""));
  return cells;
}

Result<int> print_table(store::Ledger& ledger, const store::UsageQuery& query) {
  std::vector<std::string_view> columns;
  if (query.per != store::UsageGrain::whole) columns.emplace_back("TIME");
  constexpr std::array<std::string_view, store::kUsageDimensions.size()> kNames{"KEY", "TEAM", "MODEL", "TARGET",
                                                                                "API"};
  for (std::size_t i = 0; i < query.by.size(); ++i) {
    if (query.by[i]) columns.push_back(kNames[i]);
  }
  for (std::string_view figure : {">REQUESTS", ">ERRORS", ">INPUT", ">OUTPUT", ">CACHED", ">COST"})
    columns.push_back(figure);
  TextTable table(columns);
  auto range = ledger.query(query, [&](const store::UsageRow& row) {
    table.add(cells_of(query, row));
    return true;
  });
  if (!range) return std::unexpected(range.error());
  std::fputs(table.text().c_str(), stdout);
  return 0;
}

Result<int> usage(const ReportOptions& options) {
  auto query = query_of(options);
  if (!query) return std::unexpected(query.error());
  auto dir = options.folder.with_file("ledger.db");
  if (!dir) return std::unexpected(dir.error());
  auto ledger = store::Ledger::open(*dir);
  if (!ledger) return std::unexpected(ledger.error());
  if (options.format == "table") return print_table(*ledger, *query);
  auto format = store::parse_format(options.format);
  if (!format)
    return fail(Errc::invalid_argument,
                fmt::format("--format: '{}' is not one of table, csv, json and ndjson", options.format));
  auto done = store::export_usage(*ledger, *query, *format, [](std::string_view piece) {
    return std::fwrite(piece.data(), 1, piece.size(), stdout) == piece.size();
  });
  if (!done) return std::unexpected(done.error());
  return 0;
}

std::string percent_encoded(std::string_view text) {
  std::string out;
  for (char c : text) {
    bool plain = std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-' || c == '_';
    out += plain ? std::string(1, c) : fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return out;
}

std::string amount_text(const Value& budget, std::string_view name) {
  std::int64_t amount = json::int_or(budget, name, 0);
  return json::string_or(budget, "unit", "") == "tokens" ? grouped(amount) + " tokens" : dollars(amount);
}

void add_budget(TextTable& table, const Value& budget) {
  table.add({std::string(json::string_or(budget, "account", "")), std::string(json::string_or(budget, "budget", "")),
             amount_text(budget, "spent"), amount_text(budget, "held"), amount_text(budget, "remaining"),
             std::string(json::string_or(budget, "renews", ""))});
}

TextTable budget_table() { return TextTable({"ACCOUNT", "BUDGET", ">SPENT", ">HELD", ">LEFT", "RENEWS"}); }

Result<int> list_budgets(const ReportOptions& options) {
  auto client = AdminClient::open(options.admin, options.folder);
  if (!client) return std::unexpected(client.error());
  TextTable table = budget_table();
  std::string after;
  while (true) {
    auto page = client->ask("GET", "/admin/v1/budgets?limit=1000&after=" + percent_encoded(after));
    if (!page) return std::unexpected(page.error());
    for (const Value& budget : page->at("budgets").as_array()) {
      if (options.json) {
        std::printf("%s\n", json::dump(budget).c_str());
      } else {
        add_budget(table, budget);
      }
    }
    const Value& next = page->at("next");
    if (!next.is_string()) break;
    after = next.get_string();
  }
  if (!options.json) std::fputs(table.text().c_str(), stdout);
  return 0;
}

Result<int> adjust_budget(const ReportOptions& options) {
  auto client = AdminClient::open(options.admin, options.folder);
  if (!client) return std::unexpected(client.error());
  Object body{{"account", text(options.account)}, {"amount", text(options.amount)}};
  if (!options.budget.empty()) body["budget"] = text(options.budget);
  auto budget = client->ask("POST", "/admin/v1/budgets/adjust", body);
  if (!budget) return std::unexpected(budget.error());
  if (options.json) {
    std::printf("%s\n", json::dump(*budget).c_str());
    return 0;
  }
  TextTable table = budget_table();
  add_budget(table, *budget);
  std::fputs(table.text().c_str(), stdout);
  return 0;
}

Result<std::shared_ptr<const price::Catalog>> catalog_of(const DataFolder& folder) {
  auto document = folder.document();
  if (!document) return std::unexpected(document.error());
  if (!*document) return price::Catalog::builtin();
  auto catalog = price::Catalog::read((*document)->root().map().get("prices"));
  if ((*document)->failed()) return fail(Errc::invalid_argument, (*document)->report());
  return catalog;
}

void print_prices(const std::vector<const price::Entry*>& entries, bool as_json) {
  base::WallMicros now = base::system_clock().wall();
  TextTable table({"VENDOR", "MODEL", ">INPUT", ">CACHED", ">OUTPUT", "MORE", "AS OF", "SOURCE"});
  for (const price::Entry* entry : entries) {
    if (as_json) {
      std::string line;
      json::Writer writer(line);
      price::write_json(writer, *entry, now);
      std::printf("%s\n", line.c_str());
    } else {
      price::Row row = price::row_of(*entry, now);
      table.add({row.vendor, row.model, row.input, row.cached, row.output, row.more, row.as_of, row.source});
    }
  }
  if (!as_json) std::fputs(table.text().c_str(), stdout);
}

Result<int> list_prices(const ReportOptions& options) {
  auto catalog = catalog_of(options.folder);
  if (!catalog) return std::unexpected(catalog.error());
  print_prices(price::matching(**catalog, options.search), options.json);
  return 0;
}

Result<int> show_price(const ReportOptions& options) {
  auto catalog = catalog_of(options.folder);
  if (!catalog) return std::unexpected(catalog.error());
  std::vector<const price::Entry*> found = price::matching(**catalog, options.search);
  if (found.empty()) {
    return fail(
        Errc::not_found,
        fmt::format("no price of '{}' is known; `penstock price list` shows all, and `prices:` of the configuration "
                    "adds some",
                    options.search));
  }
  print_prices(found, options.json);
  return 0;
}

Result<int> list_audit(const ReportOptions& options) {
  auto state = options.folder.open_state_to_read();
  if (!state) return std::unexpected(state.error());
  auto entries = state->audit_newest(options.limit);
  if (!entries) return std::unexpected(entries.error());
  TextTable table({">LINE", "TIME", "WHO", "DID", "TO", "AFTER"});
  for (const store::AuditEntry& entry : *entries) {
    if (!options.json) {
      table.add({std::to_string(entry.sequence), base::to_rfc3339(entry.at), entry.actor, entry.action, entry.object,
                 entry.after});
      continue;
    }
    std::printf("%s\n", json::dump(describe(entry)).c_str());
  }
  if (!options.json) std::fputs(table.text().c_str(), stdout);
  return 0;
}

Result<int> verify_audit(const ReportOptions& options) {
  auto state = options.folder.open_state_to_read();
  if (!state) return std::unexpected(state.error());
  auto lines = state->verify_audit();
  if (!lines) return std::unexpected(lines.error());
  std::printf("%s lines, none changed, left out or put in between\n", grouped(*lines).c_str());
  return 0;
}

using Run = Result<int> (*)(const ReportOptions&);

CLI::App* add(CLI::App& parent, const char* name, const char* about, const std::shared_ptr<ReportOptions>& options,
              Run run, Command& chosen) {
  CLI::App* command = parent.add_subcommand(name, about);
  add_options(*command, options->folder);
  command->callback([options, run, &chosen] { chosen = [options, run] { return finish(run(*options)); }; });
  return command;
}

}  // namespace

void add_usage_command(CLI::App& cli, Command& chosen) {
  auto options = std::make_shared<ReportOptions>();
  CLI::App* command = add(cli, "usage", "requests, tokens and cost", options, usage, chosen);
  command->add_option("--since", options->since, "a time, or how long ago")->capture_default_str();
  command->add_option("--until", options->until, "a time, or how long ago (default: now)");
  command->add_option("--by", options->by, "key, team, model, target, api, and one of minute, hour, day")
      ->capture_default_str();
  command->add_option("--order", options->order, "name, requests, tokens or cost")->capture_default_str();
  command->add_option("--format", options->format, "table, csv, json or ndjson")->capture_default_str();
  command->add_option("--limit", options->limit, "rows (default: all)")->check(CLI::PositiveNumber);
  command->add_option("--key", options->key, "only this key");
  command->add_option("--team", options->team, "only this team");
  command->add_option("--model", options->model, "only this model");
  command->add_option("--target", options->target, "only this target");
  command->add_option("--api", options->api, "only this API");
}

void add_budget_commands(CLI::App& cli, Command& chosen) {
  auto options = std::make_shared<ReportOptions>();
  CLI::App* budget = cli.add_subcommand("budget", "budgets as they stand, asked of the gateway that runs");
  budget->require_subcommand(1);
  budget->footer("The admin key, when there is one, is taken from PENSTOCK_ADMIN_KEY.");
  auto common = [&](CLI::App* command) {
    command->add_option("--admin", options->admin,
                        "the admin API (default: `admin` of --config, else http://127.0.0.1:8081)");
    command->add_flag("--json", options->json, "for programs");
    return command;
  };
  common(add(*budget, "list", "what is spent, held and left", options, list_budgets, chosen));
  CLI::App* adjust =
      common(add(*budget, "adjust", "give more of a budget for its present period", options, adjust_budget, chosen));
  adjust->add_option("ACCOUNT", options->account, "whose: team:NAME, key:NAME, model:NAME")->required();
  adjust->add_option("AMOUNT", options->amount, "2USD, 100000tokens; with - in front: less")->required();
  adjust->add_option("--budget", options->budget, "which of several: 5USD/day");
}

void add_price_commands(CLI::App& cli, Command& chosen) {
  auto options = std::make_shared<ReportOptions>();
  CLI::App* price = cli.add_subcommand("price", "what models cost");
  price->require_subcommand(1);
  CLI::App* list = add(*price, "list", "all prices that are known", options, list_prices, chosen);
  list->add_option("PART", options->search, "only those with this in vendor/model, or a glob");
  CLI::App* show = add(*price, "show", "the prices of a model", options, show_price, chosen);
  show->add_option("MODEL", options->search, "a part of vendor/model, or a glob")->required();
  for (CLI::App* command : {list, show}) command->add_flag("--json", options->json, "for programs");
}

void add_audit_commands(CLI::App& cli, Command& chosen) {
  auto options = std::make_shared<ReportOptions>();
  options->limit = 100;
  CLI::App* audit = cli.add_subcommand("audit", "who changed keys, teams and budgets");
  audit->require_subcommand(1);
  CLI::App* list = add(*audit, "list", "changes, newest first", options, list_audit, chosen);
  list->add_option("--limit", options->limit, "how many")->check(CLI::PositiveNumber)->capture_default_str();
  list->add_flag("--json", options->json, "for programs");
  add(*audit, "verify", "whether a line was changed, left out or put in between", options, verify_audit, chosen);
}

}  // namespace penstock::app
