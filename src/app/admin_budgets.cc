// Limits and budgets as they stand, and more of a budget.
#include "app/admin_desk.h"
#include "app/admin_text.h"
#include "base/quantity.h"

namespace penstock::app {
namespace {

using json::Array;
using json::Object;
using quota::BudgetRule;
using Accounts = std::vector<std::pair<std::shared_ptr<quota::Account>, quota::AccountState>>;

quota::Now now() { return {std::chrono::steady_clock::now(), base::system_clock().wall()}; }

Accounts list(const quota::Book* book, std::string_view prefix) {
  if (book == nullptr) return {};
  Accounts accounts = book->list(prefix, now());
  std::sort(accounts.begin(), accounts.end(),
            [](const auto& a, const auto& b) { return a.first->id() < b.first->id(); });
  return accounts;
}

Object describe_rate(const quota::RateState& rate) {
  return Object{{"unit", rate.rule.unit == quota::RateLimit::Unit::tokens ? "tokens" : "requests"},
                {"limit", rate.rule.amount},
                {"window", base::format_duration(rate.rule.window)},
                {"remaining", rate.remaining},
                {"reset_seconds", std::chrono::duration<double>(rate.reset).count()}};
}

Object describe_budget(const quota::Account& account, const quota::BudgetState& budget) {
  return Object{{"account", text(account.id())},
                {"name", text(account.shown())},
                {"budget", text(budget.rule.text())},
                {"unit", budget.rule.unit == BudgetRule::Unit::tokens ? "tokens" : "micro_usd"},
                {"amount", budget.amount()},
                {"spent", budget.spent},
                {"held", budget.held},
                {"remaining", budget.remaining()},
                {"since", time_or_null(budget.since)},
                {"renews", time_or_null(budget.renews)},
                {"hard", budget.rule.hard}};
}

// `add` puts what it makes of an account into the page, as long as there is room.
template <class Add>
Object page(const AdminDesk& desk, const AdminCall& call, std::string_view name, Add add) {
  auto most = static_cast<std::size_t>(call.integer("limit", 100));
  std::string after = call.text("after");
  Array items;
  json::Value next = nullptr;
  for (const auto& [account, state] : list(desk.book, call.text("prefix"))) {
    if (!after.empty() && account->id() <= after) continue;
    if (items.size() >= most) {
      next = text(after);
      break;
    }
    add(items, *account, state);
    after = account->id();
  }
  return Object{{name, std::move(items)}, {"next", std::move(next)}};
}

Result<Object> list_budgets(const AdminDesk& desk, const AdminCall& call) {
  return page(desk, call, "budgets", [](Array& items, const quota::Account& account, const quota::AccountState& state) {
    for (const quota::BudgetState& budget : state.budgets) items.push_back(describe_budget(account, budget));
  });
}

Result<Object> list_limits(const AdminDesk& desk, const AdminCall& call) {
  return page(desk, call, "limits", [](Array& items, const quota::Account& account, const quota::AccountState& state) {
    items.push_back(describe(account, state));
  });
}

struct Found {
  std::shared_ptr<quota::Account> account;
  quota::BudgetState budget;
};

Result<Found> find_budget(const AdminDesk& desk, const std::string& id, const std::string& wanted) {
  Accounts accounts = list(desk.book, id);
  std::erase_if(accounts, [&](const auto& one) { return one.first->id() != id; });
  if (accounts.empty() || accounts.front().second.budgets.empty()) {
    return fail(Errc::not_found,
                fmt::format("there is no budget of '{}'; GET /admin/v1/budgets shows which there are", id));
  }
  const auto& [account, state] = accounts.front();
  std::vector<std::string> names;
  for (const quota::BudgetState& budget : state.budgets) {
    names.push_back(budget.rule.text());
    if (names.back() == wanted || (wanted.empty() && state.budgets.size() == 1)) return Found{account, budget};
  }
  return fail(wanted.empty() ? Errc::invalid_argument : Errc::not_found,
              fmt::format("'budget' has to be one of: {}", fmt::join(names, "; ")));
}

// "2USD", "-1USD", "100000tokens".
Result<std::int64_t> parse_amount(std::string_view given, BudgetRule::Unit unit) {
  constexpr std::string_view kTokens = "tokens";
  bool less = given.starts_with('-');
  std::string_view size = given.substr(less ? 1 : 0);
  Result<std::int64_t> amount = fail(Errc::invalid_argument, "");
  if (unit == BudgetRule::Unit::micro_usd) {
    amount = base::parse_usd_micros(size);
  } else if (size.ends_with(kTokens)) {
    size.remove_suffix(kTokens.size());
    std::int64_t tokens = 0;
    auto [end, ec] = std::from_chars(size.data(), size.data() + size.size(), tokens);
    if (ec == std::errc{} && end == size.data() + size.size() && !size.starts_with('-')) amount = tokens;
  }
  if (amount && *amount > 0) return less ? -*amount : *amount;
  return fail(Errc::invalid_argument, fmt::format("'amount': '{}' is none; this budget takes {}", given,
                                                  unit == BudgetRule::Unit::tokens ? "100000tokens" : "2USD"));
}

std::string member(const Object& body, std::string_view name) {
  const json::Value* value = body.if_contains(name);
  return value != nullptr && value->is_string() ? std::string(value->get_string()) : std::string();
}

// Accounts of stored keys go by their ids; people know names.
std::string account_id(AdminDesk& desk, const std::string& given) {
  constexpr std::string_view kKey = "key:";
  if (!given.starts_with(kKey)) return given;
  auto key = desk.state->key(given.substr(kKey.size()));
  return key && *key ? std::string(kKey) + (*key)->id : given;
}

Result<Object> adjust(AdminDesk& desk, const AdminCall& call) {
  auto found = find_budget(desk, account_id(desk, member(call.body, "account")), member(call.body, "budget"));
  if (!found) return std::unexpected(found.error());
  auto amount = parse_amount(member(call.body, "amount"), found->budget.rule.unit);
  if (!amount) return std::unexpected(amount.error());
  const std::string& id = found->account->id();
  // Noted first: what nobody could note is not done.
  Object before = describe_budget(*found->account, found->budget);
  Object after{{"budget", text(found->budget.rule.text())}, {"more", *amount}};
  store::Actor actor{call.actor, call.now};
  if (auto noted = desk.state->add_audit(actor, "budget.adjust", id, json::dump(before), json::dump(after)); !noted)
    return std::unexpected(noted.error());
  if (auto done = desk.book->adjust(id, found->budget.rule, *amount, now()); !done)
    return std::unexpected(done.error());
  auto again = find_budget(desk, id, found->budget.rule.text());
  if (!again) return std::unexpected(again.error());
  return describe_budget(*again->account, again->budget);
}

std::vector<Field> account_page() {
  return {{"prefix", Kind::text, "Of account ids: team:, key:, model:, provider:, target:, address:."},
          {"limit", Kind::integer, "How many accounts, 100 unless told.", {}, false, false, 1, 1000},
          {"after", Kind::text, "`next` of the page before."}};
}

}  // namespace

Object describe(const quota::Account& account, const quota::AccountState& state) {
  Array rates;
  for (const quota::RateState& rate : state.rates) rates.push_back(describe_rate(rate));
  Array budgets;
  for (const quota::BudgetState& budget : state.budgets) budgets.push_back(describe_budget(account, budget));
  return Object{{"id", text(account.id())},      {"name", text(account.shown())},  {"rates", std::move(rates)},
                {"budgets", std::move(budgets)}, {"concurrent", state.concurrent}, {"waiting", state.waiting}};
}

std::optional<Object> describe_account(const quota::Book* book, const std::string& id) {
  for (const auto& [account, state] : list(book, id)) {
    if (account->id() == id) return describe(*account, state);
  }
  return std::nullopt;
}

std::vector<AdminRoute> budget_routes(AdminDesk& desk) {
  return {{.method = "GET",
           .path = "/admin/v1/budgets",
           .name = "listBudgets",
           .about = "What is spent, held and left of every budget.",
           .query = account_page(),
           .gives = "Budgets",
           .answer = [&desk](const AdminCall& call) { return list_budgets(desk, call); }},
          {.method = "POST",
           .path = "/admin/v1/budgets/adjust",
           .name = "adjustBudget",
           .about = "Gives more (or less) of a budget for its present period.",
           .takes = "Adjustment",
           .gives = "Budget",
           .refusals = {404},
           .answer = [&desk](const AdminCall& call) { return adjust(desk, call); }},
          {.method = "GET",
           .path = "/admin/v1/limits",
           .name = "listLimits",
           .about = "How accounts with limits or budgets stand.",
           .query = account_page(),
           .gives = "Accounts",
           .answer = [&desk](const AdminCall& call) { return list_limits(desk, call); }}};
}

}  // namespace penstock::app
