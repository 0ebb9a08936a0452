// How Plan is read from the configuration.
#include <charconv>

#include "base/quantity.h"
#include "config/timeout.h"
#include "llm/local_provider.h"
#include "llm/plan.h"
#include "price/price_config.h"
#include "price/vendor_config.h"

namespace penstock::llm {
namespace {

RetryPolicy parse_retry(const config::Node& node) {
  RetryPolicy retry;
  if (!node.present()) return retry;
  config::Map map = node.map();
  retry.attempts = map.integer("attempts", 2, 1, 10);
  if (config::Node on = map.get("on"); on.present()) {
    retry.on_5xx = retry.on_429 = retry.on_connect = retry.on_timeout = false;
    for (const config::Node& item : on.items()) {
      std::string word = item.text();
      int status = 0;
      auto [end, ec] = std::from_chars(word.data(), word.data() + word.size(), status);
      bool number = ec == std::errc{} && end == word.data() + word.size();
      if (word == "5xx") {
        retry.on_5xx = true;
      } else if (word == "connect") {
        retry.on_connect = true;
      } else if (word == "timeout") {
        retry.on_timeout = true;
      } else if (number && status == 429) {
        retry.on_429 = true;
      } else if (number && status >= 400 && status <= 599) {
        retry.statuses.push_back(status);
      } else {
        item.problem(fmt::format("'{}' is nothing to retry on; write a status (429), 5xx, connect or timeout", word));
      }
    }
  }
  map.done();
  return retry;
}

http::ClientTimeouts parse_timeouts(const config::Node& node, http::ClientTimeouts timeouts) {
  if (!node.present()) return timeouts;
  config::Map map = node.map();
  timeouts.first_byte = config::read_timeout(map, "first_byte", timeouts.first_byte);
  timeouts.idle = config::read_timeout(map, "idle", timeouts.idle);
  timeouts.total = config::read_timeout(map, "total", timeouts.total);
  map.done();
  return timeouts;
}

bool counts_money(const std::shared_ptr<const Allowance>& allowance) {
  if (!allowance) return false;
  const auto& budgets = allowance->rules.budgets;
  return std::any_of(budgets.begin(), budgets.end(),
                     [](const quota::BudgetRule& rule) { return rule.unit == quota::BudgetRule::Unit::micro_usd; });
}

}  // namespace

std::vector<Target> Plan::parse_targets(const config::Node& node, bool weighted) {
  std::vector<Target> targets;
  for (const config::Node& item : node.items()) {
    std::string to;
    std::int64_t weight = 1;
    if (weighted && item.kind() == config::Node::Kind::map) {
      config::Map map = item.map();
      to = map.required_text("to");
      weight = map.integer("weight", 1, 0, 1'000'000);
      // Read by take_target_rules() before any route.
      for (std::string_view known : {"limits", "budget"}) (void)map.get(known);
      map.done();
    } else {
      to = item.text();
    }
    auto target = resolve(to);
    if (!target) {
      std::vector<std::string> names;
      for (const auto& [name, provider] : providers_) names.push_back(name);
      std::string provider_name = to.substr(0, to.find('/'));
      auto hint = base::closest(provider_name, names);
      item.problem(to.find('/') == std::string::npos
                       ? fmt::format("'{}' is no target; write provider/model", to)
                       : fmt::format("there is no provider '{}'{}", provider_name,
                                     hint ? fmt::format("; did you mean '{}'?", *hint) : ""));
      continue;
    }
    if (!target->encoding)
      target->calibration = calibrations_.try_emplace(to, std::make_shared<token::Calibration>()).first->second;
    target->weight = weight;
    target->label = obs::intern(to);
    targets.push_back(std::move(*target));
  }
  return targets;
}

// What a route says about prices, limits and budgets.
void Plan::parse_money(config::Map& map, Route& route) {
  if (config::Node price = map.get("price"); price.present()) {
    auto entry = std::make_shared<price::Entry>();
    entry->model = route.name.view();
    entry->prices = price::parse_prices(price);
    entry->source = price::Source::configuration;
    for (auto* targets : {&route.targets, &route.fallback}) {
      for (Target& target : *targets) target.sold = entry;
    }
  }
  route.priced_only = map.choice("unpriced", {"allow", "refuse"}, "allow") == "refuse";
  std::string name(route.name.view());
  route.allowance = allow("model:" + name, fmt::format("the model '{}'", name), quota::parse_rules(map));
  if (!counts_money(route.allowance)) return;
  for (const auto* targets : {&route.targets, &route.fallback}) {
    for (const Target& target : *targets) {
      if (target.sold && !target.sold->prices.empty()) continue;
      map.get("budget").problem(fmt::format(
          "a budget in money needs to know what '{}' costs: give the model a `price:`, or the target one in "
          "`prices: {{ models: {{ {}: {{ input: .., output: .. }} }} }}`",
          target.label.view(), target.label.view()));
    }
  }
}

void Plan::parse_route(const std::string& name, const config::Node& node) {
  config::Map map = node.map();
  auto route = std::make_shared<Route>();
  route->name = obs::intern(name);
  config::Node targets = map.get("route");
  route->targets = parse_targets(targets, true);
  route->fallback = parse_targets(map.get("fallback"), false);
  route->by_priority = map.choice("strategy", {"weighted", "priority"}, "weighted") == "priority";
  route->strict = map.boolean("strict", false);
  route->retry = parse_retry(map.get("retry"));
  http::ClientTimeouts defaults;
  if (!route->targets.empty()) defaults = route->targets.front().provider->timeouts();
  route->timeouts = parse_timeouts(map.get("timeout"), defaults);
  route->keep_alive = config::read_timeout(map, "keep_alive", route->keep_alive);
  route->output_assumed = terms_.output_assumed;
  route->context = parse_context(map.get("context"));
  parse_money(map, *route);
  map.done();
  if (route->targets.empty()) {
    if (targets.kind() == config::Node::Kind::list && targets.items().empty())
      targets.problem("a route needs at least one target");
    return;
  }
  bool any =
      std::any_of(route->targets.begin(), route->targets.end(), [](const Target& target) { return target.weight > 0; });
  if (!any) targets.problem("every target has weight 0, so none would ever be asked");
  routes_[name] = std::move(route);
}

std::shared_ptr<const Allowance> Plan::allow(std::string id, std::string shown, quota::Rules rules) {
  if (rules.empty()) return nullptr;
  auto made = std::make_shared<Allowance>();
  made->id = std::move(id);
  made->shown = std::move(shown);
  made->rules = std::move(rules);
  allowances_.push_back(made);
  return made;
}

void Plan::open_accounts(quota::Book& book) const {
  for (const auto& allowance : allowances_) {
    allowance->book = &book;
    allowance->account = book.account(allowance->id, allowance->shown, allowance->rules);
  }
}

// Limits are the target's in every route, and of calls that name it themselves.
void Plan::take_target_rules(const config::Node& route) {
  if (route.kind() != config::Node::Kind::list) return;
  for (const config::Node& item : route.items()) {
    if (item.kind() != config::Node::Kind::map) continue;
    config::Map map = item.map();
    if (!map.has("to") || !(map.has("limits") || map.has("budget"))) continue;
    std::string to = map.text("to");
    quota::Rules rules = quota::parse_rules(map);
    auto there = target_allowances_.find(to);
    if (there == target_allowances_.end()) {
      target_allowances_[to] = allow("target:" + to, fmt::format("the target '{}'", to), std::move(rules));
    } else if (!there->second || !(there->second->rules == rules)) {
      item.problem(
          fmt::format("'{}' has other limits in a route above: it is the same target, whoever leads there", to));
    }
  }
}

void Plan::parse_provider(const std::string& name, const config::Node& node, const base::Registry& registry) {
  if (name.find('/') != std::string::npos) node.problem("a provider's name cannot contain '/'");
  config::Map entry = node.map();
  config::Node type = entry.required("type");
  std::string type_name = type.kind() == config::Node::Kind::scalar ? type.text() : "";
  const auto* factory = registry.find<ProviderFactory>(type_name);
  if (factory == nullptr) {
    if (!type_name.empty()) {
      type.problem(fmt::format("'{}' is no provider type of this build; there are: {}", type_name,
                               fmt::join(registry.names<ProviderFactory>(), ", ")));
    }
    return;
  }
  Seller seller;
  seller.direct_label = obs::intern(name + "/*");
  seller.allowance = allow("provider:" + name, fmt::format("the provider '{}'", name), quota::parse_rules(entry));
  auto provider = factory->make(name, entry);
  if (provider) {
    const auto& catalog = terms_.prices ? terms_.prices : price::Catalog::builtin();
    seller.vendor = price::read_vendor(entry, provider->origin()->url.host, *catalog);
    // A first look reads the vendor's part of the catalog: now, and not when a call comes.
    if (terms_.prices) (void)terms_.prices->find(name, seller.vendor, "-");
  }
  entry.done();
  if (!provider) return;
  providers_[name] = std::move(provider);
  sellers_[name] = std::move(seller);
}

void Plan::add_local_routes() {
  if (terms_.local.empty()) return;
  local_ = std::make_shared<const LocalProvider>();
  for (const std::string& name : terms_.local) {
    auto route = std::make_shared<Route>();
    route->name = obs::intern(name);
    route->timeouts = local_->timeouts();
    route->targets.push_back(local_target(local_, name));
    routes_[name] = std::move(route);
  }
}

std::shared_ptr<const Plan> Plan::parse(const config::Node& providers,
                                        const std::vector<std::pair<std::string, config::Node>>& routes,
                                        const base::Registry& registry, PlanTerms terms) {
  auto plan = std::make_shared<Plan>();
  plan->terms_ = std::move(terms);
  if (providers.present()) {
    for (const auto& [name, node] : providers.map().entries()) plan->parse_provider(name, node, registry);
  }
  plan->add_local_routes();
  for (const auto& [name, node] : routes) plan->take_target_rules(node.map().get("route"));
  for (const auto& [name, node] : routes) plan->parse_route(name, node);
  return plan;
}

}  // namespace penstock::llm
