// Providers and routes of one configuration: immutable, shared by all cores.
#pragma once

#include <array>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/registry.h"
#include "config/document.h"
#include "llm/allowance.h"
#include "llm/context_rule.h"
#include "llm/provider.h"
#include "obs/event.h"
#include "price/catalog.h"
#include "token/calibration.h"
#include "token/encoding.h"

namespace penstock::llm {

struct Target {
  obs::Label label{};  // provider/model
  std::shared_ptr<const Provider> provider;
  std::string model;
  bool local = false;  // in this process: local_embeddings.h
  std::int64_t weight = 1;
  std::shared_ptr<const price::Entry> sold;         // what it costs and since when; null: nobody knows
  const token::Encoding* encoding = nullptr;        // of its texts; null: not published
  std::shared_ptr<token::Calibration> calibration;  // what is learned instead
  // Its own and its provider's; null: none.
  std::array<std::shared_ptr<const Allowance>, 2> allowances;
  bool limited() const { return allowances[0] || allowances[1]; }
  // In force at that time; null: unknown.
  const price::Price* price_at(base::WallMicros now) const { return sold ? sold->at(now) : nullptr; }
  std::string_view provider_name() const { return label.view().substr(0, label.view().find('/')); }
};

// Which failures are worth another attempt.
struct RetryPolicy {
  std::int64_t attempts = 2;  // per target, the first included
  std::vector<int> statuses;  // exact, beside the classes below
  bool on_5xx = true;
  bool on_429 = true;
  bool on_connect = true;
  bool on_timeout = true;
  bool retries(int status) const;
};

struct Route {
  obs::Label name{};
  std::vector<Target> targets;
  std::vector<Target> fallback;
  bool strict = false;       // what a translation cannot carry is refused
  bool by_priority = false;  // targets in the order written; otherwise by weight
  RetryPolicy retry;
  http::ClientTimeouts timeouts;
  // After so long without an event a stream's client is told that the connection still stands: proxies and clients give
  // up on those that say nothing for a minute, some for half of one.
  base::Duration keep_alive = std::chrono::seconds(15);
  std::shared_ptr<const Allowance> allowance;  // of the model; null: none
  bool priced_only = false;                    // targets whose price is unknown are not asked
  // Tokens one answer may have where nothing else bounds it and a budget has to be sure of it.
  std::int64_t output_assumed = 4096;
  std::optional<ContextRule> context = std::nullopt;  // nothing: providers judge what is too long for them
};

// What holds for all routes of a plan.
struct PlanTerms {
  std::shared_ptr<const price::Catalog> prices;  // null: only routes know prices
  std::int64_t output_assumed = Route().output_assumed;
  // Models of this process that turn texts into vectors: routes of their names, and targets as local/NAME.
  std::vector<std::string> local = {};
};

// The route with the targets of which `keep` holds; the fallbacks take the place of targets when none of these is left.
// Null when nothing is.
std::shared_ptr<const Route> narrowed(const std::shared_ptr<const Route>& route,
                                      const std::function<bool(const Target&)>& keep);

class Plan {
 public:
  // Reads `providers:` and those entries of `models:` that have a `route`. Mistakes are reported on the nodes.
  static std::shared_ptr<const Plan> parse(const config::Node& providers,
                                           const std::vector<std::pair<std::string, config::Node>>& routes,
                                           const base::Registry& registry, PlanTerms terms = {});
  // Makes the accounts of models, targets and providers that have limits, or gives those that exist these limits. Once,
  // when the configuration is taken, before any core sees the plan. The book outlives it.
  void open_accounts(quota::Book& book) const;

  // A route by its name, or provider/model asked for directly. The error has a hint.
  Result<std::shared_ptr<const Route>> find(std::string_view model) const;
  const std::map<std::string, std::shared_ptr<const Route>, std::less<>>& routes() const { return routes_; }
  const std::map<std::string, std::shared_ptr<const Provider>, std::less<>>& providers() const { return providers_; }
  // Of configuration and catalog; never null.
  std::shared_ptr<const price::Catalog> prices() const {
    return terms_.prices ? terms_.prices : price::Catalog::builtin();
  }
  // One line per route, and one per target with its price, for `penstock check`.
  std::vector<std::string> describe() const;

 private:
  // What the plan knows of a provider beside how to call it.
  struct Seller {
    obs::Label direct_label{};  // of calls that name the provider themselves
    std::string vendor;         // of the catalog; empty: in no catalog
    std::shared_ptr<const Allowance> allowance;
    std::shared_ptr<token::Calibration> calibration = std::make_shared<token::Calibration>();  // of unnamed models
  };

  std::optional<Target> resolve(std::string_view text) const;
  void add_local_routes();
  void parse_provider(const std::string& name, const config::Node& node, const base::Registry& registry);
  void take_target_rules(const config::Node& route);
  void parse_route(const std::string& name, const config::Node& node);
  void parse_money(config::Map& map, Route& route);
  std::vector<Target> parse_targets(const config::Node& node, bool weighted);
  std::shared_ptr<const Allowance> allow(std::string id, std::string shown, quota::Rules rules);

  PlanTerms terms_;
  std::map<std::string, std::shared_ptr<const Provider>, std::less<>> providers_;
  std::map<std::string, Seller, std::less<>> sellers_;
  std::map<std::string, std::shared_ptr<const Allowance>, std::less<>> target_allowances_;  // by provider/model
  std::map<std::string, std::shared_ptr<token::Calibration>, std::less<>> calibrations_;  // of targets that routes name
  std::vector<std::shared_ptr<Allowance>> allowances_;
  std::map<std::string, std::shared_ptr<const Route>, std::less<>> routes_;
  std::shared_ptr<const Provider> local_;  // null: no model of this process is among the targets
};

// The order in which to try the targets of a route: by weight without replacement, or as written, then the fallbacks.
// Those whose origin is ejected or down come last, so that they are asked only when all others failed; but never more
// than half of all. `random` gives uniform 64-bit numbers.
std::vector<const Target*> order_of_attempts(const Route& route, base::SteadyTime now,
                                             const std::function<std::uint64_t()>& random);

}  // namespace penstock::llm
