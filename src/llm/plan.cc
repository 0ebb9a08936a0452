#include "llm/plan.h"

#include "base/quantity.h"
#include "llm/local_provider.h"
#include "price/quantity.h"
#include "token/models.h"

namespace penstock::llm {

bool RetryPolicy::retries(int status) const {
  if (status == 429) return on_429;
  if (status >= 500 && on_5xx) return true;
  return std::find(statuses.begin(), statuses.end(), status) != statuses.end();
}

std::optional<Target> Plan::resolve(std::string_view text) const {
  std::size_t slash = text.find('/');
  if (slash == std::string_view::npos || slash + 1 == text.size()) return std::nullopt;
  auto provider = providers_.find(text.substr(0, slash));
  if (provider == providers_.end()) {
    std::string model(text.substr(slash + 1));
    bool known = local_ && text.substr(0, slash) == kLocalName &&
                 std::find(terms_.local.begin(), terms_.local.end(), model) != terms_.local.end();
    return known ? std::optional(local_target(local_, model)) : std::nullopt;
  }
  Target target;
  target.provider = provider->second;
  target.model = text.substr(slash + 1);
  const Seller& seller = sellers_.find(provider->first)->second;
  if (auto own = target_allowances_.find(text); own != target_allowances_.end()) target.allowances[0] = own->second;
  target.allowances[1] = seller.allowance;
  target.encoding = token::Encoding::find(token::encoding_name(target.model));
  auto learned = calibrations_.find(text);
  target.calibration = learned == calibrations_.end() ? seller.calibration : learned->second;
  if (terms_.prices) {
    // The entry lives as long as its catalog.
    target.sold = {terms_.prices, terms_.prices->find(provider->first, seller.vendor, target.model)};
  }
  return target;
}

std::shared_ptr<const Route> narrowed(const std::shared_ptr<const Route>& route,
                                      const std::function<bool(const Target&)>& keep) {
  if (std::all_of(route->targets.begin(), route->targets.end(), keep) &&
      std::all_of(route->fallback.begin(), route->fallback.end(), keep)) {
    return route;
  }
  auto kept = std::make_shared<Route>(*route);
  std::erase_if(kept->targets, std::not_fn(keep));
  std::erase_if(kept->fallback, std::not_fn(keep));
  if (kept->targets.empty()) kept->targets.swap(kept->fallback);
  return kept->targets.empty() ? nullptr : std::shared_ptr<const Route>(std::move(kept));
}

Result<std::shared_ptr<const Route>> Plan::find(std::string_view model) const {
  if (auto route = routes_.find(model); route != routes_.end()) return route->second;
  // A local model is asked for by its own name, which is what keys are about.
  if (auto target = resolve(model); target && !target->local) {
    auto route = std::make_shared<Route>();
    // The stranger's word must not become a label: direct calls count under their provider.
    route->name = sellers_.find(model.substr(0, model.find('/')))->second.direct_label;
    target->label = route->name;
    route->timeouts = target->provider->timeouts();
    route->output_assumed = terms_.output_assumed;
    route->targets.push_back(std::move(*target));
    return std::shared_ptr<const Route>(std::move(route));
  }
  std::vector<std::string> names;
  for (const auto& [name, route] : routes_) names.push_back(name);
  std::string shown(model.substr(0, 100));
  auto hint = base::closest(shown, names);
  std::string known = names.empty() ? "none is configured" : fmt::format("there are: {}", fmt::join(names, ", "));
  return fail(Errc::not_found, fmt::format("the model '{}' does not exist in this gateway{}; {}", shown,
                                           hint ? fmt::format("; did you mean '{}'?", *hint) : "", known));
}

namespace {

// lab/big: input 2.5USD/1M, output 10USD/1M (catalog, as of 2026-01-31)
std::string price_line(const Target& target, bool priced_only) {
  const price::Price* price = target.price_at(base::system_clock().wall());
  if (price == nullptr)
    return fmt::format("{}: price unknown{}", target.label.view(), priced_only ? ", so it is not asked" : "");
  std::string figures;
  for (const price::RateField& field : price::kRateFields) {
    const price::Figure& figure = price->rates.*field.member;
    if (figure) base::append(figures, figures.empty() ? "" : ", ", field.name, " ", price::format_rate(*figure));
  }
  if (price->request)
    base::append(figures, figures.empty() ? "" : ", ", "call ", price::format_amount(*price->request));
  if (price->image) base::append(figures, figures.empty() ? "" : ", ", "image ", price::format_amount(*price->image));
  return fmt::format("{}: {} ({}{})", target.label.view(), figures, to_string(target.sold->source),
                     price->as_of.empty() ? "" : ", as of " + price->as_of);
}

}  // namespace

std::vector<std::string> Plan::describe() const {
  std::vector<std::string> lines;
  for (const auto& [name, route] : routes_) {
    std::string line = fmt::format("model {} -> ", name);
    std::int64_t total = 0;
    for (const Target& target : route->targets) total += target.weight;
    for (std::size_t i = 0; i < route->targets.size(); ++i) {
      const Target& target = route->targets[i];
      if (i > 0) line += ", ";
      line += target.label;
      if (!route->by_priority && total > 0)
        line += fmt::format(" ({:.0f}%)", 100.0 * static_cast<double>(target.weight) / static_cast<double>(total));
    }
    for (const Target& target : route->fallback) line += fmt::format(", else {}", target.label.view());
    line +=
        fmt::format("; {} attempts each, first byte within {}, total {}", route->retry.attempts,
                    base::format_duration(route->timeouts.first_byte), base::format_duration(route->timeouts.total));
    lines.push_back(std::move(line));
    if (route->context) lines.push_back("  " + route->context->describe());
    for (const auto* targets : {&route->targets, &route->fallback}) {
      for (const Target& target : *targets) lines.push_back("  " + price_line(target, route->priced_only));
    }
  }
  return lines;
}

namespace {

std::vector<const Target*> drawn_order(const Route& route, const std::function<std::uint64_t()>& random) {
  std::vector<const Target*> order;
  std::vector<const Target*> left;
  std::int64_t total = 0;
  for (const Target& target : route.targets) {
    if (target.weight == 0 && !route.by_priority) continue;
    left.push_back(&target);
    total += target.weight;
  }
  while (!left.empty()) {
    std::size_t chosen = 0;
    if (!route.by_priority && left.size() > 1) {
      auto point = static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(total));
      while (point >= left[chosen]->weight) point -= left[chosen++]->weight;
    }
    total -= left[chosen]->weight;
    order.push_back(left[chosen]);
    left.erase(left.begin() + static_cast<std::ptrdiff_t>(chosen));
  }
  for (const Target& target : route.fallback) order.push_back(&target);
  return order;
}

// Which of `order` to try last: at most half, those furthest from being asked again.
std::vector<const Target*> unusable(const std::vector<const Target*>& order, base::SteadyTime now) {
  std::vector<const Target*> last;
  for (const Target* target : order) {
    if (!target->provider->origin()->state->health.usable(now)) last.push_back(target);
  }
  std::size_t most = order.size() / 2;
  if (last.size() <= most) return last;
  // Other cores change these at any time: one look at each, then sorting.
  std::vector<std::pair<base::SteadyTime, const Target*>> by_return;
  for (const Target* target : last) {
    const http::OriginHealth& health = target->provider->origin()->state->health;
    by_return.emplace_back(health.down() ? base::SteadyTime::max() : health.ejected_until(), target);
  }
  std::sort(by_return.begin(), by_return.end(), [](const auto& a, const auto& b) { return a.first > b.first; });
  last.clear();
  for (std::size_t i = 0; i < most; ++i) last.push_back(by_return[i].second);
  return last;
}

}  // namespace

std::vector<const Target*> order_of_attempts(const Route& route, base::SteadyTime now,
                                             const std::function<std::uint64_t()>& random) {
  std::vector<const Target*> order = drawn_order(route, random);
  if (order.size() < 2) return order;
  std::vector<const Target*> last = unusable(order, now);
  std::erase_if(order, [&](const Target* target) { return std::find(last.begin(), last.end(), target) != last.end(); });
  order.insert(order.end(), last.begin(), last.end());
  return order;
}

}  // namespace penstock::llm
