#include "ext/filters/limits/limits_filter.h"

#include <gmock/gmock.h>

#include "flow/dialect.h"
#include "flow/permission.h"
#include "http/test/fake_exchange.h"

namespace penstock::ext {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

class NoDialect : public flow::Dialect {
 public:
  std::string error_body(int, const Error& error, std::string_view) const override { return error.detail; }
};

// Knows the caller by one secret, whoever asks.
class OneCaller : public flow::Filter {
 public:
  OneCaller(std::shared_ptr<flow::KeyTable> keys, std::string secret)
      : keys_(std::move(keys)), secret_(std::move(secret)) {}
  Result<void> on_head(flow::Call& call) override {
    call.key = keys_->find(secret_, 1);
    if (call.key) call.team = call.policy->teams().find(obs::intern("lab"));
    return {};
  }

 private:
  std::shared_ptr<flow::KeyTable> keys_;
  std::string secret_;
};

rt::Task<void> ask(LimitsFilter& filter, flow::Call& call, std::optional<Result<void>>& answer) {
  auto asking = filter.on_request(call);
  answer = co_await asking;
  call.exchange.loop().stop();
}

quota::RateLimit per_minute(quota::RateLimit::Unit unit, std::int64_t amount) { return {unit, amount, 1min}; }

// The loop does not run, so its time stands still.
struct LimitsFilterTest : testing::Test {
  rt::Loop loop;
  NoDialect dialect;
  LimitsFilter filter;
  quota::Book book;
  std::shared_ptr<flow::KeyTable> keys = std::make_shared<flow::KeyTable>(base::Secret("x"), &book);
  quota::Rules team;
  quota::Rules addresses;

  struct One {
    http::FakeExchange exchange;
    flow::Call call;
    One(LimitsFilterTest& f, std::shared_ptr<const flow::Policy> policy)
        : exchange(f.loop), call(exchange, f.dialect, std::move(policy)) {}
  };
  std::shared_ptr<const flow::Policy> policy(const std::string& secret = {}) {
    std::vector<std::string> problems;
    std::vector<std::unique_ptr<flow::Filter>> filters;
    filters.push_back(std::make_unique<OneCaller>(keys, secret));
    flow::Callers callers{keys, flow::Teams({{"lab", "", {}, team}}, &book, problems), &book, addresses};
    return std::make_shared<const flow::Policy>(std::move(callers), true, std::move(filters));
  }
  std::unique_ptr<One> call(const quota::Rules& rules, std::int64_t estimated = 0, std::string name = "app",
                            flow::Priority priority = flow::Priority::normal) {
    flow::DeclaredKey key;
    key.name = name;
    key.secrets.emplace_back("secret of " + name);
    key.rules = rules;
    key.team = "lab";
    key.priority = priority;
    known[name] = key;
    std::vector<flow::DeclaredKey> all;
    for (const auto& [_, one] : known) all.push_back(one);
    keys->declare(all);
    auto made = std::make_unique<One>(*this, policy("secret of " + name));
    EXPECT_TRUE(made->call.policy->filters().front()->on_head(made->call).has_value());
    made->call.ask.tokens = estimated;
    return made;
  }
  std::unique_ptr<One> call(std::int64_t rpm, std::int64_t tpm, std::int64_t estimated = 0) {
    quota::Rules rules;
    if (rpm > 0) rules.limits.rates.push_back(per_minute(quota::RateLimit::Unit::requests, rpm));
    if (tpm > 0) rules.limits.rates.push_back(per_minute(quota::RateLimit::Unit::tokens, tpm));
    return call(rules, estimated);
  }
  std::int64_t left(quota::RateLimit::Unit unit, std::string id = "key:app") {
    for (const auto& [account, state] : book.list(id, {loop.now(), base::system_clock().wall()})) {
      for (const quota::RateState& rate : state.rates) {
        if (rate.rule.unit == unit) return rate.remaining;
      }
    }
    return -1;
  }
  std::int64_t tokens_left(std::string id = "key:app") { return left(quota::RateLimit::Unit::tokens, std::move(id)); }
  std::int64_t requests_left() { return left(quota::RateLimit::Unit::requests); }
  std::map<std::string, flow::DeclaredKey> known;
};

TEST_F(LimitsFilterTest, LeavesCallsWithoutLimitsAlone) {
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(filter.on_request(call(0, 0, 1'000'000)->call).await_resume().has_value());
  One keyless(*this, policy());
  EXPECT_TRUE(filter.on_request(keyless.call).await_resume().has_value());
  filter.on_settle(keyless.call);
  EXPECT_FALSE(keyless.call.request_limit);
  EXPECT_FALSE(keyless.call.token_limit);
}

TEST_F(LimitsFilterTest, AdmitsAsManyRequestsAsTheKeyHas) {
  std::vector<std::unique_ptr<One>> calls;
  for (int i = 0; i < 3; ++i) {
    auto& one = calls.emplace_back(call(3, 0));
    ASSERT_TRUE(filter.on_request(one->call).await_resume().has_value()) << i;
    ASSERT_TRUE(one->call.request_limit);
    EXPECT_EQ(one->call.request_limit->limit, 3);
    EXPECT_EQ(one->call.request_limit->remaining, 2 - i);
    EXPECT_FALSE(one->call.token_limit);
  }
  auto over = call(3, 0);
  auto refused = filter.on_request(over->call).await_resume();
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, Errc::resource_exhausted);
  EXPECT_THAT(refused.error().detail, HasSubstr("the API key 'app'"));
  ASSERT_TRUE(over->call.retry_after);
  EXPECT_LE(*over->call.retry_after, 20s);
  ASSERT_TRUE(over->call.request_limit);
  EXPECT_EQ(over->call.request_limit->remaining, 0);
}

TEST_F(LimitsFilterTest, ReservesTokensAndSettlesWhatWasUsed) {
  auto one = call(0, 1000, 600);
  ASSERT_TRUE(filter.on_request(one->call).await_resume().has_value());
  EXPECT_EQ(one->call.token_limit->limit, 1000);
  EXPECT_EQ(one->call.token_limit->remaining, 400);
  auto second = call(0, 1000, 600);
  EXPECT_FALSE(filter.on_request(second->call).await_resume().has_value());
  filter.on_settle(second->call);
  EXPECT_EQ(tokens_left(), 400) << "a refused call had nothing to give back";
  one->call.event.usage_known = true;
  one->call.event.status = 200;
  one->call.event.input_tokens = 80;
  one->call.event.output_tokens = 20;
  filter.on_settle(one->call);
  EXPECT_EQ(tokens_left(), 900);
}

TEST_F(LimitsFilterTest, GivesTheReservationBackAfterAFailure) {
  auto one = call(5, 1000, 600);
  ASSERT_TRUE(filter.on_request(one->call).await_resume().has_value());
  one->call.event.status = 502;
  filter.on_settle(one->call);
  EXPECT_EQ(tokens_left(), 1000);
  EXPECT_EQ(requests_left(), 4) << "a request is a request";
}

TEST_F(LimitsFilterTest, KeepsTheReservationOfAnAnswerWithoutUsage) {
  auto one = call(0, 1000, 600);
  ASSERT_TRUE(filter.on_request(one->call).await_resume().has_value());
  one->call.event.status = 200;
  filter.on_settle(one->call);
  EXPECT_EQ(tokens_left(), 400);
}

TEST_F(LimitsFilterTest, TeamsAndModelsCountTheSameCall) {
  team.limits.rates.push_back(per_minute(quota::RateLimit::Unit::tokens, 2000));
  quota::Rules model;
  model.limits.concurrent = 1;
  auto account = book.account("model:chat", "the model 'chat'", model);
  auto one = call(0, 1000, 600);
  one->call.model_account = account.get();
  ASSERT_TRUE(filter.on_request(one->call).await_resume().has_value());
  EXPECT_EQ(tokens_left(), 400);
  EXPECT_EQ(tokens_left("team:lab"), 1400);
  auto second = call(0, 1000, 100);
  second->call.model_account = account.get();
  auto refused = filter.on_request(second->call).await_resume();
  ASSERT_FALSE(refused.has_value());
  EXPECT_THAT(refused.error().detail, HasSubstr("the model 'chat'"));
  EXPECT_EQ(tokens_left("team:lab"), 1400) << "all or nothing";
  one->call.event.status = 502;
  filter.on_settle(one->call);
  EXPECT_TRUE(filter.on_request(second->call).await_resume().has_value());
}

TEST_F(LimitsFilterTest, AnInputThatIsTooLongIsRefused) {
  quota::Rules rules;
  rules.limits.input_max = 100;
  rules.limits.output_max = 50;
  team.limits.input_max = 70;
  team.limits.output_max = 60;
  auto one = call(rules);
  one->call.input_tokens = 70;
  EXPECT_TRUE(filter.on_request(one->call).await_resume().has_value());
  EXPECT_EQ(flow::output_max(one->call), 50);
  auto longer = call(rules);
  longer->call.input_tokens = 71;
  auto refused = filter.on_request(longer->call).await_resume();
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, Errc::out_of_range);
  EXPECT_THAT(refused.error().detail, HasSubstr("71 tokens, and at most 70"));
}

TEST_F(LimitsFilterTest, ABudgetSaysSo) {
  quota::Rules rules;
  rules.budgets.push_back({});
  rules.budgets.back().amount = 1'000'000;
  auto one = call(rules);
  one->call.ask.cost = 600'000;
  ASSERT_TRUE(filter.on_request(one->call).await_resume().has_value());
  one->call.event.status = 200;
  one->call.event.usage_known = true;
  one->call.event.cost_known = true;
  one->call.event.cost_micros = 900'000;
  filter.on_settle(one->call);
  auto next = call(rules);
  next->call.ask.cost = 200'000;
  auto refused = filter.on_request(next->call).await_resume();
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().source, flow::kBudgetSource);
  rt::spawn(flow::refuse(next->call, refused.error()));
  EXPECT_EQ(next->exchange.status(), 429);
  EXPECT_EQ(next->call.event.error_type, obs::ErrorType::policy_budget);
}

// A conversation that has used all of it does not get another answer.
TEST_F(LimitsFilterTest, ABudgetThatIsExactlyUsedUpIsUsedUp) {
  quota::Rules rules;
  rules.budgets.push_back({});
  rules.budgets.back().amount = 1'000'000;
  auto one = call(rules);
  one->call.ask.cost = 0;
  ASSERT_TRUE(filter.on_request(one->call).await_resume().has_value());
  one->call.event.usage_known = true;
  one->call.event.cost_known = true;
  one->call.event.cost_micros = 999'999;
  EXPECT_TRUE(filter.on_usage(one->call).has_value());
  one->call.event.cost_micros = 1'000'000;
  auto refused = filter.on_usage(one->call);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().source, flow::kBudgetSource);
}

// What others hold stands in the way: the call waits for them.
TEST_F(LimitsFilterTest, ACallWaitsForWhatOthersHold) {
  quota::Rules rules;
  rules.budgets.push_back({});
  rules.budgets.back().amount = 1'000'000;
  auto first = call(rules);
  first->call.ask.cost = 800'000;
  ASSERT_TRUE(filter.on_request(first->call).await_resume().has_value());
  auto second = call(rules);
  second->call.ask.cost = 500'000;
  std::optional<Result<void>> passed;
  rt::spawn(ask(filter, second->call, passed));
  EXPECT_FALSE(passed);
  loop.post([&] {
    first->call.event.status = 200;
    first->call.event.usage_known = true;
    first->call.event.cost_known = true;
    first->call.event.cost_micros = 100'000;
    filter.on_settle(first->call);
  });
  loop.run();
  ASSERT_TRUE(passed);
  EXPECT_TRUE(passed->has_value());
  EXPECT_GE(second->call.event.waited_nanos, 0);
  EXPECT_EQ(book.waiting(), 0);
}

// A key that is revoked, or gets other rules, while its call waits.
TEST_F(LimitsFilterTest, WhoeverWaitedIsLookedAtAgain) {
  for (bool revoked : {true, false}) {
    quota::Rules rules;
    rules.limits.concurrent = 1;
    rules.limits.throttle = 60s;
    auto first = call(rules);
    ASSERT_TRUE(filter.on_request(first->call).await_resume().has_value());
    auto second = call(rules);
    std::optional<Result<void>> passed;
    rt::spawn(ask(filter, second->call, passed));
    EXPECT_FALSE(passed);
    if (revoked) {
      keys->declare({});
    } else {
      rules.budgets.push_back({});
      rules.budgets.back().amount = 1'000'000;
      call(rules);
    }
    loop.post([&] { filter.on_settle(first->call); });
    loop.run();
    ASSERT_TRUE(passed && !passed->has_value()) << revoked;
    EXPECT_EQ(passed->error().code, revoked ? Errc::unauthenticated : Errc::unavailable) << passed->error().detail;
    EXPECT_FALSE(second->call.reservation);
    EXPECT_EQ(book.waiting(), 0);
    for (const auto& [_, state] : book.list("key:app", {loop.now(), base::system_clock().wall()}))
      EXPECT_EQ(state.concurrent, 0);
  }
}

TEST_F(LimitsFilterTest, WhoeverLeavesGivesUpItsPlace) {
  quota::Rules rules;
  rules.limits.concurrent = 1;
  rules.limits.throttle = 60s;
  auto first = call(rules);
  ASSERT_TRUE(filter.on_request(first->call).await_resume().has_value());
  auto second = call(rules);
  std::optional<Result<void>> passed;
  rt::spawn(ask(filter, second->call, passed));
  EXPECT_FALSE(passed);
  EXPECT_EQ(book.waiting(), 1);
  loop.post([&] { second->exchange.leave(); });
  loop.run();
  ASSERT_TRUE(passed && !passed->has_value());
  EXPECT_EQ(passed->error().code, Errc::cancelled);
  EXPECT_EQ(book.waiting(), 0);
}

TEST_F(LimitsFilterTest, ShowsTheLimitsInTheAnswer) {
  auto one = call(60, 6000, 3000);
  ASSERT_TRUE(filter.on_request(one->call).await_resume().has_value());
  http::ResponseHead head(200);
  flow::add_common_fields(one->call, head);
  EXPECT_THAT(head.lines(), HasSubstr("x-ratelimit-limit-requests: 60\r\nx-ratelimit-remaining-requests: "
                                      "59\r\nx-ratelimit-reset-requests: 1s\r\n"));
  EXPECT_THAT(
      head.lines(),
      HasSubstr(
          "x-ratelimit-limit-tokens: 6000\r\nx-ratelimit-remaining-tokens: 3000\r\nx-ratelimit-reset-tokens: 30s\r\n"));
}

TEST_F(LimitsFilterTest, SaysInTheRefusalWhenToComeBack) {
  auto first = call(1, 0);
  ASSERT_TRUE(filter.on_request(first->call).await_resume().has_value());
  auto over = call(1, 0);
  auto refused = filter.on_request(over->call).await_resume();
  ASSERT_FALSE(refused.has_value());
  rt::spawn(flow::refuse(over->call, refused.error()));
  EXPECT_EQ(over->exchange.status(), 429);
  EXPECT_EQ(over->exchange.answer_field("retry-after"), "60");
  EXPECT_EQ(over->exchange.answer_field("x-ratelimit-remaining-requests"), "0");
  EXPECT_EQ(over->call.event.error_type, obs::ErrorType::policy_limit);
}

}  // namespace
}  // namespace penstock::ext
