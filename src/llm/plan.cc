#include "llm/plan.h"

#include <charconv>

#include "base/quantity.h"
#include "config/timeout.h"

namespace penstock::llm {

bool RetryPolicy::retries(int status) const {
  if (status == 429) return on_429;
  if (status >= 500 && on_5xx) return true;
  return std::find(statuses.begin(), statuses.end(), status) != statuses.end();
}

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

}  // namespace

std::optional<Target> Plan::resolve(std::string_view text) const {
  std::size_t slash = text.find('/');
  if (slash == std::string_view::npos || slash + 1 == text.size()) return std::nullopt;
  auto provider = providers_.find(text.substr(0, slash));
  if (provider == providers_.end()) return std::nullopt;
  Target target;
  target.provider = provider->second;
  target.model = text.substr(slash + 1);
  return target;
}

std::vector<Target> Plan::parse_targets(const config::Node& node, bool weighted) {
  std::vector<Target> targets;
  for (const config::Node& item : node.items()) {
    std::string to;
    std::int64_t weight = 1;
    if (weighted && item.kind() == config::Node::Kind::map) {
      config::Map map = item.map();
      to = map.required_text("to");
      weight = map.integer("weight", 1, 0, 1'000'000);
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
    target->weight = weight;
    target->label = obs::intern(to);
    targets.push_back(std::move(*target));
  }
  return targets;
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

std::shared_ptr<const Plan> Plan::parse(const config::Node& providers,
                                        const std::vector<std::pair<std::string, config::Node>>& routes,
                                        const base::Registry& registry) {
  auto plan = std::make_shared<Plan>();
  if (providers.present()) {
    config::Map map = providers.map();
    for (const auto& [name, node] : map.entries()) {
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
        continue;
      }
      auto provider = factory->make(name, entry);
      entry.done();
      if (provider) {
        plan->providers_[name] = std::move(provider);
        plan->direct_labels_[name] = obs::intern(name + "/*");
      }
    }
  }
  for (const auto& [name, node] : routes) plan->parse_route(name, node);
  return plan;
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
  if (auto target = resolve(model)) {
    auto route = std::make_shared<Route>();
    // The stranger's word must not become a label: direct calls count under their provider.
    route->name = direct_labels_.find(model.substr(0, model.find('/')))->second;
    target->label = route->name;
    route->timeouts = target->provider->timeouts();
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
