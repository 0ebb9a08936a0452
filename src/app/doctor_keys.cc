#include "app/doctor_keys.h"

#include <set>

#include "app/key_view.h"
#include "app/text_table.h"
#include "quota/book.h"
#include "store/ledger.h"
#include "token/models.h"

namespace penstock::app {
namespace {

// A key or a team.
struct Holder {
  std::string account;  // quota::Account::id()
  std::string shown;    // "the API key 'app'"
  flow::Scopes scopes;
  quota::Rules rules;
};

quota::Now now() { return {std::chrono::steady_clock::now(), base::system_clock().wall()}; }

bool counts_money(const quota::Rules& rules) {
  return std::any_of(rules.budgets.begin(), rules.budgets.end(), [](const quota::BudgetRule& rule) {
    return rule.hard && rule.unit == quota::BudgetRule::Unit::micro_usd;
  });
}

// Nothing, and a finding, when what is stored cannot be read.
std::optional<Holder> holder_of(std::string account, std::string shown, const std::string& scopes,
                                const std::string& rules, Report& report) {
  auto read_scopes = flow::parse_scopes(scopes);
  auto read_rules = quota::parse_rules(rules);
  if (read_scopes && read_rules)
    return Holder{std::move(account), std::move(shown), std::move(*read_scopes), std::move(*read_rules)};
  report.bad(
      fmt::format("{} cannot be read: {}", shown, read_scopes ? read_rules.error().detail : read_scopes.error().detail),
      "set it anew (`penstock key update`, `penstock team update`)");
  return std::nullopt;
}

struct Caller {
  Holder key;
  std::string team;
};

std::optional<Caller> find_declared(const GatewayConfig& config, const std::string& name, Report& report) {
  for (const flow::DeclaredKey& key : config.keys) {
    if (key.name != name) continue;
    if (key.expires != 0 && key.expires <= now().wall)
      report.bad(fmt::format("the API key '{}' expired {}", name, base::to_rfc3339(key.expires)),
                 "change `expires` in the file");
    return Caller{{"key:" + name, fmt::format("the API key '{}'", name), key.scopes, key.rules}, key.team};
  }
  return std::nullopt;
}

std::optional<Caller> find_stored(store::State& state, const std::string& name, Report& report) {
  auto key = state.key(name);
  if (!key || !*key) {
    report.bad(key ? fmt::format("there is no key with the name or id '{}'", name) : key.error().detail,
               "`penstock key list` shows stored keys; others stand under `keys:`");
    return std::nullopt;
  }
  const store::StoredKey& row = **key;
  std::string shown = fmt::format("the API key '{}'", row.name);
  std::string_view standing = state_of(row, now().wall);
  if (standing == "revoked")
    report.bad(fmt::format("{} was revoked {}", shown, base::to_rfc3339(row.revoked)),
               "make another one: `penstock key create`");
  if (standing == "expired") {
    report.bad(fmt::format("{} expired {}", shown, base::to_rfc3339(row.expires)),
               fmt::format("`penstock key update {} --expires 30d`", row.name));
  }
  auto holder = holder_of("key:" + row.id, shown, row.scopes, row.rules, report);
  if (!holder) return std::nullopt;
  return Caller{std::move(*holder), row.team};
}

// The team, and those above it.
std::vector<Holder> teams_of(const GatewayConfig& config, store::State& state, std::string name, Report& report) {
  std::vector<Holder> teams;
  while (!name.empty() && teams.size() < flow::Teams::kDepthMax) {
    std::string shown = fmt::format("the team '{}'", name);
    auto declared =
        std::find_if(config.teams.begin(), config.teams.end(), [&](const auto& team) { return team.name == name; });
    if (declared != config.teams.end()) {
      teams.push_back({"team:" + name, shown, declared->scopes, declared->rules});
      name = declared->parent;
      continue;
    }
    auto stored = state.team(name);
    if (!stored || !*stored) {
      report.bad(
          fmt::format("{} does not exist: its keys are refused", shown),
          fmt::format("`penstock team create {}`, or move the key: `penstock key update KEY --team none`", name));
      return teams;
    }
    auto holder = holder_of("team:" + name, shown, (*stored)->scopes, (*stored)->rules, report);
    if (!holder) return teams;
    teams.push_back(std::move(*holder));
    name = (*stored)->parent;
  }
  return teams;
}

void check_scopes(const Holder& holder, const std::string& model, Report& report) {
  if (!model.empty() && !holder.scopes.allows_model(model)) {
    report.bad(
        fmt::format("{} may not use the model '{}'; it may use: {}", holder.shown, model, holder.scopes.models_text()),
        "add it to its `models`");
  } else if (!model.empty()) {
    report.good(fmt::format("{} may use the model '{}'", holder.shown, model));
  }
  if (!holder.scopes.apis.empty())
    report.note(fmt::format("{} may use these APIs alone: {}", holder.shown, fmt::join(holder.scopes.apis, ", ")));
  if (!holder.scopes.from_texts.empty())
    report.note(fmt::format("{} is taken from these addresses alone: {}", holder.shown,
                            fmt::join(holder.scopes.from_texts, ", ")));
}

std::string figure(const quota::BudgetRule& rule, std::int64_t amount) {
  return rule.unit == quota::BudgetRule::Unit::tokens ? grouped(amount) + " tokens" : dollars(amount);
}

void check_budgets(const Holder& holder, quota::Book& book, Report& report) {
  auto account = book.account(holder.account, holder.shown, holder.rules);
  for (const quota::BudgetState& budget : account->state(now()).budgets) {
    std::int64_t left = budget.remaining();
    std::string renews = budget.renews == 0 ? "" : fmt::format("; it renews {}", base::to_rfc3339(budget.renews));
    if (left == 0 && budget.rule.hard) {
      report.bad(fmt::format("the budget {} of {} is used up{}", budget.rule.text(), holder.shown, renews),
                 "wait, or give more of it: `penstock budget adjust`");
    } else {
      report.good(fmt::format("{} has {} left of its budget {}{}", holder.shown, figure(budget.rule, left),
                              budget.rule.text(), renews));
    }
  }
}

// As a gateway that starts now would take it up.
void restore(quota::Book& book, const std::string& data_dir, Report& report) {
  auto ledger = store::Ledger::open(data_dir);
  auto meters = ledger ? ledger->meters() : Result<std::vector<store::MeterState>>(std::unexpected(ledger.error()));
  if (!meters) {
    report.bad(meters.error().detail, "look into the data folder");
    return;
  }
  std::vector<quota::Checkpoint> checkpoints;
  for (store::MeterState& meter : *meters) checkpoints.push_back({std::move(meter.id), std::move(meter.state)});
  for (const Error& error : book.restore(std::move(checkpoints), now()))
    report.bad(fmt::format("how far limits and budgets of '{}' stand cannot be read: {}", error.source, error.detail),
               "put a backup of ledger.db in its place; the gateway does not start like this");
}

void check_prices(const llm::Route& route, std::string_view why, Report& report) {
  for (const auto* targets : {&route.targets, &route.fallback}) {
    for (const llm::Target& target : *targets) {
      if (target.price_at(now().wall) != nullptr) continue;
      report.bad(fmt::format("no price of {} is known, and {}: calls are refused", target.label.view(), why),
                 fmt::format("give it one: models: {{ {}: {{ price: {{ input: 1USD/1M, output: 2USD/1M }} }} }}",
                             route.name.view()));
    }
  }
}

std::set<std::string> encodings_of(const GatewayConfig& config) {
  std::set<std::string> names;
  for (const auto& [name, route] : config.llm->routes()) {
    for (const llm::Target& target : route->targets) {
      if (std::string_view encoding = token::encoding_name(target.model); !encoding.empty()) names.emplace(encoding);
    }
  }
  return names;
}

}  // namespace

void check_accounting(const GatewayConfig& config, store::State& state, Report& report) {
  for (const std::string& name : encodings_of(config)) {
    if (auto& loaded = token::Encoding::load(name); loaded) {
      report.good(fmt::format("tokens of {} are counted exactly", name));
    } else {
      report.note(fmt::format("tokens of {} are estimated, not counted: {}", name, loaded.error().detail));
    }
  }
  std::string who;
  for (const flow::DeclaredKey& key : config.keys) {
    if (counts_money(key.rules)) who = fmt::format("the API key '{}'", key.name);
  }
  for (const flow::TeamSpec& team : config.teams) {
    if (counts_money(team.rules)) who = fmt::format("the team '{}'", team.name);
  }
  for (const store::StoredTeam& team : state.teams().value_or(std::vector<store::StoredTeam>())) {
    if (auto rules = quota::parse_rules(team.rules); rules && counts_money(*rules))
      who = fmt::format("the team '{}'", team.name);
  }
  if (who.empty()) return;
  for (const auto& [name, route] : config.llm->routes())
    check_prices(*route, fmt::format("{} has a budget of money", who), report);
}

void check_call(const GatewayConfig& config, store::State& state, const std::string& key, const std::string& model,
                Report& report) {
  auto caller = find_declared(config, key, report);
  if (!caller) caller = find_stored(state, key, report);
  if (!caller) return;
  std::vector<Holder> holders = teams_of(config, state, caller->team, report);
  holders.insert(holders.begin(), caller->key);
  quota::Book book;
  restore(book, config.data_dir, report);
  bool money = false;
  for (const Holder& holder : holders) {
    check_scopes(holder, model, report);
    check_budgets(holder, book, report);
    money = money || counts_money(holder.rules);
  }
  if (model.empty()) return;
  auto route = config.llm->find(model);
  if (!route) {
    report.bad(route.error().detail, "name a model under `models:`, or provider/model");
  } else if (money) {
    check_prices(**route, "a budget of money is to be kept", report);
  }
}

}  // namespace penstock::app
