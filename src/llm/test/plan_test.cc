#include "llm/plan.h"

#include <gmock/gmock.h>

#include "llm/test/fake_provider.h"

namespace penstock::llm {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

constexpr std::string_view kProviders = "providers: { lab: { type: fake }, cloud: { type: fake, first_byte: 7s } }\n";

base::Registry registry_with_fake() {
  base::Registry registry;
  registry.add("fake", ProviderFactory{[](const std::string&, config::Map& map) -> std::shared_ptr<const Provider> {
                 http::ClientTimeouts timeouts;
                 timeouts.first_byte = map.duration("first_byte", timeouts.first_byte);
                 return std::make_shared<const FakeProvider>(timeouts);
               }});
  return registry;
}

struct Parsed {
  std::shared_ptr<const Plan> plan;
  std::string report;
};

// `models` is the YAML of the models, each with a route.
Parsed parse(std::string_view models, std::string_view providers = kProviders) {
  auto document = config::Document::parse(std::string(providers) + std::string(models), "p.yaml");
  EXPECT_TRUE(document.has_value()) << document.error().detail;
  config::Map root = document->root().map();
  std::vector<std::pair<std::string, config::Node>> routes;
  if (config::Node node = root.get("models"); node.present()) routes = node.map().entries();
  PlanTerms terms;
  terms.prices = price::Catalog::read(root.get("prices"));
  auto plan = Plan::parse(root.get("providers"), routes, registry_with_fake(), terms);
  root.done();
  return {std::move(plan), document->report()};
}

std::shared_ptr<const Route> route_of(const Parsed& parsed, std::string_view name) {
  auto route = parsed.plan->find(name);
  EXPECT_TRUE(route.has_value()) << route.error().detail << parsed.report;
  return route ? *route : std::make_shared<const Route>();
}

TEST(Plan, ReadsTargetsWeightsAndFallback) {
  Parsed parsed = parse(
      "models: { chat: { route: [ { to: lab/big, weight: 9 }, { to: cloud/a/b }, lab/small ], fallback: [cloud/last] } "
      "}");
  EXPECT_EQ(parsed.report, "");
  auto route = route_of(parsed, "chat");
  ASSERT_EQ(route->targets.size(), 3U);
  EXPECT_EQ(route->name.view(), "chat");
  EXPECT_EQ(route->targets[0].label.view(), "lab/big");
  EXPECT_EQ(route->targets[0].model, "big");
  EXPECT_EQ(route->targets[0].weight, 9);
  EXPECT_EQ(route->targets[1].model, "a/b") << "only the first slash parts provider and model";
  EXPECT_EQ(route->targets[1].weight, 1);
  EXPECT_EQ(route->targets[2].model, "small");
  ASSERT_EQ(route->fallback.size(), 1U);
  EXPECT_EQ(route->fallback[0].provider, parsed.plan->providers().find("cloud")->second);
  EXPECT_FALSE(route->by_priority);
}

TEST(Plan, ReadsTheStrategy) {
  EXPECT_TRUE(route_of(parse("models: { chat: { route: [lab/a, lab/b], strategy: priority } }"), "chat")->by_priority);
  EXPECT_FALSE(route_of(parse("models: { chat: { route: [lab/a], strategy: weighted } }"), "chat")->by_priority);
  EXPECT_THAT(parse("models: { chat: { route: [lab/a], strategy: priorty } }").report,
              HasSubstr("did you mean 'priority'?"));
}

TEST(Plan, ReadsWhatToRetryOn) {
  RetryPolicy usual = route_of(parse("models: { chat: { route: [lab/a] } }"), "chat")->retry;
  EXPECT_EQ(usual.attempts, 2);
  EXPECT_TRUE(usual.retries(429));
  EXPECT_TRUE(usual.retries(500));
  EXPECT_FALSE(usual.retries(400));
  EXPECT_FALSE(usual.retries(404));

  RetryPolicy chosen =
      route_of(parse("models: { chat: { route: [lab/a], retry: { attempts: 4, on: [408, 503, timeout] } } }"), "chat")
          ->retry;
  EXPECT_EQ(chosen.attempts, 4);
  EXPECT_TRUE(chosen.on_timeout);
  EXPECT_FALSE(chosen.on_connect);
  EXPECT_TRUE(chosen.retries(408));
  EXPECT_TRUE(chosen.retries(503));
  EXPECT_FALSE(chosen.retries(500));
  EXPECT_FALSE(chosen.retries(429));

  RetryPolicy classes =
      route_of(parse("models: { chat: { route: [lab/a], retry: { on: [429, 5xx, connect] } } }"), "chat")->retry;
  EXPECT_TRUE(classes.retries(429));
  EXPECT_TRUE(classes.retries(599));
  EXPECT_TRUE(classes.on_connect);
  EXPECT_FALSE(classes.on_timeout);

  for (const char* word : {"sometimes", "200", "4xx", "600", "429x"}) {
    EXPECT_THAT(parse(fmt::format("models: {{ chat: {{ route: [lab/a], retry: {{ on: [{}] }} }} }}", word)).report,
                HasSubstr(fmt::format("'{}' is nothing to retry on", word)));
  }
  EXPECT_NE(parse("models: { chat: { route: [lab/a], retry: { attempts: 0 } } }").report, "");
  EXPECT_THAT(parse("models: { chat: { route: [lab/a], retry: { atempts: 1 } } }").report,
              HasSubstr("did you mean 'attempts'?"));
}

TEST(Plan, TakesTimeoutsFromTheRouteThenFromTheFirstTarget) {
  auto route = route_of(parse("models: { chat: { route: [cloud/a, lab/b], timeout: { idle: 3s } } }"), "chat");
  EXPECT_EQ(route->timeouts.first_byte, 7s);
  EXPECT_EQ(route->timeouts.idle, 3s);
  EXPECT_EQ(route->timeouts.total, http::ClientTimeouts{}.total);
  EXPECT_EQ(route_of(parse("models: { chat: { route: [cloud/a], timeout: { first_byte: 1s, total: 2m } } }"), "chat")
                ->timeouts.first_byte,
            1s);
  EXPECT_THAT(parse("models: { chat: { route: [lab/a], timeout: { frst_byte: 1s } } }").report,
              HasSubstr("did you mean 'first_byte'?"));
  for (std::string_view key : {"first_byte", "idle", "total"}) {
    for (std::string_view time : {"0s", "1ns", "25h"}) {
      auto report =
          parse(fmt::format("models: {{ chat: {{ route: [lab/a], timeout: {{ {}: {} }} }} }}", key, time)).report;
      EXPECT_THAT(report, HasSubstr("between 1ms and 24h")) << key << time;
    }
  }
}

TEST(Plan, SaysWhatIsWrongWithATarget) {
  EXPECT_THAT(parse("models: { chat: { route: [clod/a] } }").report,
              HasSubstr("there is no provider 'clod'; did you mean 'cloud'?"));
  EXPECT_THAT(parse("models: { chat: { route: [zzzzzz/a] } }").report, HasSubstr("there is no provider 'zzzzzz'"));
  EXPECT_THAT(parse("models: { chat: { route: [lab] } }").report, HasSubstr("write provider/model"));
  EXPECT_NE(parse("models: { chat: { route: [lab/] } }").report, "");
  EXPECT_THAT(parse("models: { chat: { route: [ { to: lab/a, wieght: 1 } ] } }").report,
              HasSubstr("did you mean 'weight'?"));
  EXPECT_NE(parse("models: { chat: { route: [ { to: lab/a, weight: -1 } ] } }").report, "");
  EXPECT_THAT(parse("models: { chat: { route: [ { weight: 1 } ] } }").report, HasSubstr("to"));
  EXPECT_NE(parse("models: { chat: { route: lab/a } }").report, "") << "a list is asked for";
}

TEST(Plan, RefusesARouteThatNobodyAnswers) {
  EXPECT_THAT(parse("models: { chat: { route: [] } }").report, HasSubstr("a route needs at least one target"));
  EXPECT_THAT(parse("models: { chat: { route: [ { to: lab/a, weight: 0 }, { to: cloud/a, weight: 0 } ] } }").report,
              HasSubstr("every target has weight 0"));
  EXPECT_EQ(parse("models: { chat: { route: [ { to: lab/a, weight: 0 }, { to: cloud/a } ] } }").report, "");
}

TEST(Plan, SaysWhatIsWrongWithAProvider) {
  EXPECT_THAT(parse("", "providers: { lab: { type: fke } }\n").report,
              HasSubstr("'fke' is no provider type of this build; there are: fake"));
  EXPECT_THAT(parse("", "providers: { lab: {} }\n").report, HasSubstr("type"));
  EXPECT_THAT(parse("", "providers: { a/b: { type: fake } }\n").report, HasSubstr("cannot contain '/'"));
  EXPECT_THAT(parse("", "providers: { lab: { type: fake, fist_byte: 1s } }\n").report,
              HasSubstr("did you mean 'first_byte'?"));
  EXPECT_NE(parse("", "providers: [ lab ]\n").report, "");
}

TEST(Plan, FindsRoutesAndDirectTargets) {
  Parsed parsed = parse("models: { chat: { route: [lab/a] }, cloud/a: { route: [lab/b] } }");
  EXPECT_EQ(route_of(parsed, "chat")->targets[0].label.view(), "lab/a");
  EXPECT_EQ(route_of(parsed, "cloud/a")->targets[0].model, "b") << "a route's name goes before a direct target";

  auto direct = route_of(parsed, "cloud/any/model:8b");
  ASSERT_EQ(direct->targets.size(), 1U);
  EXPECT_EQ(direct->targets[0].model, "any/model:8b");
  EXPECT_EQ(direct->name.view(), "cloud/*") << "a stranger's word must not become a label";
  EXPECT_EQ(direct->targets[0].label.view(), "cloud/*");
  EXPECT_EQ(direct->timeouts.first_byte, 7s);
}

TEST(Plan, SaysWhichModelsThereAre) {
  Parsed parsed = parse("models: { chat: { route: [lab/a] }, embed: { route: [lab/b] } }");
  auto close = parsed.plan->find("chatt");
  ASSERT_FALSE(close.has_value());
  EXPECT_EQ(close.error().code, Errc::not_found);
  EXPECT_THAT(close.error().detail, HasSubstr("did you mean 'chat'?"));
  EXPECT_THAT(parsed.plan->find("something/else").error().detail, HasSubstr("there are: chat, embed"));
  EXPECT_THAT(parsed.plan->find("lab/").error().detail, HasSubstr("'lab/' does not exist"));
  EXPECT_LT(parsed.plan->find(std::string(100'000, 'x')).error().detail.size(), 400U);
  EXPECT_THAT(parse("").plan->find("chat").error().detail, HasSubstr("none is configured"));
}

TEST(Plan, DescribesItself) {
  auto lines = parse("models: { chat: { route: [ { to: lab/a, weight: 3 }, { to: cloud/b } ], fallback: [lab/c] } }")
                   .plan->describe();
  ASSERT_EQ(lines.size(), 4U);
  EXPECT_THAT(lines[0], HasSubstr("model chat -> lab/a (75%), cloud/b (25%), else lab/c"));
}

// --- order_of_attempts ---

std::shared_ptr<const Provider> a_provider() {
  return std::make_shared<const FakeProvider>(*net::parse_http_url("http://127.0.0.1:1"));
}

Route route_with(std::vector<std::int64_t> weights, bool by_priority = false, std::size_t fallbacks = 0) {
  Route route;
  route.by_priority = by_priority;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    Target target;
    target.model = fmt::format("{}", i);
    target.provider = a_provider();
    target.weight = weights[i];
    route.targets.push_back(std::move(target));
  }
  for (std::size_t i = 0; i < fallbacks; ++i) {
    Target target;
    target.model = fmt::format("f{}", i);
    target.provider = a_provider();
    route.fallback.push_back(std::move(target));
  }
  return route;
}

std::string order(const Route& route, const std::function<std::uint64_t()>& random) {
  std::string text;
  for (const Target* target : order_of_attempts(route, base::SteadyTime{}, random))
    text += (text.empty() ? "" : " ") + target->model;
  return text;
}

TEST(OrderOfAttempts, TakesEveryTargetOnceAndThenTheFallbacks) {
  std::uint64_t state = 42;
  auto random = [&] { return state = state * 6364136223846793005ULL + 1442695040888963407ULL; };
  Route route = route_with({5, 1, 1, 3}, false, 2);
  for (int i = 0; i < 200; ++i) {
    std::string text = order(route, random);
    EXPECT_TRUE(text.ends_with(" f0 f1")) << text;
    std::string targets = text.substr(0, 7);
    std::sort(targets.begin(), targets.end());
    EXPECT_EQ(targets, "   0123") << text;
  }
}

// Out for a while.
void eject(const Target& target, base::SteadyTime now, base::Duration time = 30s) {
  target.provider->origin()->state->health.failed({.failures = 1, .eject = time}, now);
}

std::string order_at(const Route& route, base::SteadyTime now) {
  std::string text;
  for (const Target* target : order_of_attempts(route, now, [] { return 0; }))
    text += (text.empty() ? "" : " ") + target->model;
  return text;
}

TEST(OrderOfAttempts, PutsEjectedTargetsLast) {
  base::SteadyTime now{1h};
  Route route = route_with({1, 1, 1}, true, 1);
  eject(route.targets[0], now);
  EXPECT_EQ(order_at(route, now), "1 2 f0 0");
  eject(route.fallback[0], now);
  EXPECT_EQ(order_at(route, now), "1 2 0 f0");
  EXPECT_EQ(order_at(route, now + 30s), "0 1 2 f0") << "the time is up";
  http::HealthCheck check{.unhealthy_after = 1};
  route.targets[1].provider->origin()->state->health.checked(check, false);
  EXPECT_EQ(order_at(route, now + 30s), "0 2 f0 1") << "found down by a check";
}

TEST(OrderOfAttempts, PutsNeverMoreThanHalfLast) {
  base::SteadyTime now{1h};
  Route alone = route_with({1}, true);
  eject(alone.targets[0], now);
  EXPECT_EQ(order_at(alone, now), "0");
  Route three = route_with({1, 1, 1}, true);
  eject(three.targets[0], now, 50s);
  eject(three.targets[1], now, 10s);
  eject(three.targets[2], now, 20s);
  EXPECT_EQ(order_at(three, now), "1 2 0") << "the one that stays out longest";
}

TEST(OrderOfAttempts, ChoosesByWeightWithoutReplacement) {
  Route route = route_with({3, 1, 2});
  // Points 0 to 5 of the first draw, then 0 of the ones after it.
  std::vector<std::string> wanted{"0 1 2", "0 1 2", "0 1 2", "1 0 2", "2 0 1", "2 0 1"};
  for (std::uint64_t point = 0; point < 6; ++point) {
    std::uint64_t next = point;
    EXPECT_EQ(order(route, [&] { return std::exchange(next, 0); }), wanted[point]) << point;
  }
  // After 0 (weight 3) is gone, 1 has 1 and 2 has 2 of 3.
  std::vector<std::uint64_t> numbers{0, 1};
  std::size_t at = 0;
  EXPECT_EQ(order(route, [&] { return numbers[at++]; }), "0 2 1");
}

TEST(OrderOfAttempts, SharesAsTheWeightsSay) {
  std::uint64_t state = 7;
  auto random = [&] { return (state = state * 6364136223846793005ULL + 1442695040888963407ULL) >> 11U; };
  Route route = route_with({9, 1});
  int first = 0;
  for (int i = 0; i < 10'000; ++i) first += order(route, random)[0] == '0' ? 1 : 0;
  EXPECT_NEAR(first, 9000, 150);
}

TEST(OrderOfAttempts, LeavesOutWeightZero) {
  EXPECT_EQ(order(route_with({0, 1, 0}), [] { return 5U; }), "1");
  EXPECT_EQ(order(route_with({0, 1}, false, 1), [] { return 0U; }), "1 f0");
}

TEST(OrderOfAttempts, KeepsTheWrittenOrderByPriority) {
  EXPECT_EQ(order(route_with({1, 100, 0}, true, 1), [] { return 99U; }), "0 1 2 f0");
}

TEST(OrderOfAttempts, DoesNotOverflowWithLargeWeights) {
  EXPECT_EQ(order(route_with({1'000'000, 1'000'000}), [] { return UINT64_MAX; }).size(), 3U);
}

constexpr std::string_view kPrices =
    "prices: { models: { lab/big: { input: 2USD/1M, output: 8USD/1M, output_max: 1000 } } }\n";

TEST(Plan, FindsThePriceOfARouteBeforeThatOfTheConfiguration) {
  Parsed parsed = parse(std::string(kPrices) +
                        "models: { plain: { route: [lab/big, lab/small] }, own: { route: [lab/big], price: { input: "
                        "1USD/1M, output: 1USD/1M } }, none: { route: [lab/big], price: unknown } }");
  EXPECT_EQ(parsed.report, "");
  auto rate = [](const Target& target) {
    const price::Price* price = target.price_at(0);
    return price == nullptr ? -1 : *price->rates.input;
  };
  EXPECT_EQ(rate(route_of(parsed, "plain")->targets[0]), 2'000'000);
  EXPECT_EQ(rate(route_of(parsed, "plain")->targets[1]), -1) << "nobody knows";
  EXPECT_EQ(rate(route_of(parsed, "own")->targets[0]), 1'000'000);
  EXPECT_EQ(rate(route_of(parsed, "none")->targets[0]), -1);
  EXPECT_EQ(rate(route_of(parsed, "lab/big")->targets[0]), 2'000'000) << "asked for directly";
  EXPECT_THAT(parsed.plan->describe(),
              testing::IsSupersetOf({HasSubstr("lab/big: input 2USD/1M, output 8USD/1M (configuration"),
                                     HasSubstr("lab/small: price unknown")}));
}

TEST(Plan, ABudgetInMoneyNeedsAPrice) {
  Parsed parsed = parse(std::string(kPrices) + "models:\n  chat: { route: [lab/big, lab/small], budget: 5USD/day }");
  EXPECT_THAT(parsed.report, HasSubstr("p.yaml:4:"));
  EXPECT_THAT(parsed.report, HasSubstr("what 'lab/small' costs"));
  EXPECT_EQ(parse(std::string(kPrices) + "models: { chat: { route: [lab/big], budget: 5USD/day } }").report, "");
  EXPECT_EQ(parse("models: { chat: { route: [lab/big], budget: 500tokens/day } }").report, "");
}

TEST(Plan, LimitsOfATargetHoldWhereverItIsAsked) {
  Parsed parsed = parse(
      "models: { one: { route: [lab/big] }, two: { route: [ { to: lab/big, limits: { rpm: 5 } } ], limits: { rpm: 9 } "
      "} }");
  EXPECT_EQ(parsed.report, "");
  quota::Book book;
  parsed.plan->open_accounts(book);
  for (std::string_view name : {"one", "two", "lab/big"}) {
    auto route = route_of(parsed, name);
    ASSERT_TRUE(route->targets[0].limited()) << name;
    EXPECT_EQ(route->targets[0].allowances[0]->account->id(), "target:lab/big");
  }
  EXPECT_EQ(route_of(parsed, "two")->allowance->account->id(), "model:two");
  EXPECT_FALSE(route_of(parsed, "one")->allowance);
  Parsed twice = parse(
      "models: { one: { route: [ { to: lab/big, limits: { rpm: 4 } } ] }, two: { route: [ { to: lab/big, limits: { "
      "rpm: 5 } } ] } }");
  EXPECT_THAT(twice.report, HasSubstr("other limits in a route above"));
}

TEST(Plan, LimitsOfAProviderHoldForAllItsTargets) {
  Parsed parsed =
      parse("models: { chat: { route: [lab/big] } }", "providers: { lab: { type: fake, limits: { rpm: 5 } } }\n");
  EXPECT_EQ(parsed.report, "");
  EXPECT_EQ(route_of(parsed, "chat")->targets[0].allowances[1]->id, "provider:lab");
  EXPECT_EQ(route_of(parsed, "lab/other")->targets[0].allowances[1]->id, "provider:lab");
}

}  // namespace
}  // namespace penstock::llm
