#include "ext/filters/limits/limits_filter.h"

#include <gmock/gmock.h>

#include "flow/dialect.h"
#include "http/test/fake_exchange.h"

namespace penstock::ext {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

class NoDialect : public flow::Dialect {
 public:
  std::string error_body(int, const Error& error, std::string_view) const override { return error.detail; }
};

// The loop does not run, so its time stands still.
struct LimitsFilterTest : testing::Test {
  rt::Loop loop;
  NoDialect dialect;
  LimitsFilter filter;
  std::shared_ptr<const flow::Policy> policy = std::make_shared<const flow::Policy>(
      flow::KeyTable({}, {}, base::Secret("x")), true, std::vector<std::unique_ptr<flow::Filter>>{});
  std::shared_ptr<flow::KeyState> state = std::make_shared<flow::KeyState>();

  struct One {
    http::FakeExchange exchange;
    flow::Call call;
    One(LimitsFilterTest& f, std::shared_ptr<const flow::Key> key)
        : exchange(f.loop), call(exchange, f.dialect, f.policy) {
      call.key = std::move(key);
    }
  };
  std::unique_ptr<One> call(std::int64_t rpm, std::int64_t tpm, std::int64_t estimated = 0) {
    flow::Key key;
    key.name = obs::intern("app");
    key.rpm = rpm;
    key.tpm = tpm;
    key.state = state;
    auto made = std::make_unique<One>(*this, std::make_shared<const flow::Key>(std::move(key)));
    made->call.ask.tokens = estimated;
    return made;
  }
  std::int64_t tokens_left(std::int64_t tpm) { return state->tokens.take(loop.now(), 0, tpm).remaining; }
  std::int64_t requests_left(std::int64_t rpm) { return state->requests.take(loop.now(), 0, rpm).remaining; }
};

TEST_F(LimitsFilterTest, LeavesKeysWithoutLimitsAlone) {
  for (int i = 0; i < 1000; ++i) EXPECT_TRUE(filter.on_request(call(0, 0, 1'000'000)->call).await_resume().has_value());
  One keyless(*this, nullptr);
  EXPECT_TRUE(filter.on_request(keyless.call).await_resume().has_value());
  filter.on_settle(keyless.call);
  EXPECT_FALSE(keyless.call.request_limit);
  EXPECT_FALSE(keyless.call.token_limit);
}

TEST_F(LimitsFilterTest, AdmitsAsManyRequestsAsTheKeyHas) {
  for (int i = 0; i < 3; ++i) {
    auto one = call(3, 0);
    ASSERT_TRUE(filter.on_request(one->call).await_resume().has_value()) << i;
    ASSERT_TRUE(one->call.request_limit);
    EXPECT_EQ(one->call.request_limit->limit, 3);
    EXPECT_EQ(one->call.request_limit->remaining, 2 - i);
    EXPECT_EQ(one->call.request_limit->reset, 20s * (i + 1));
    EXPECT_FALSE(one->call.token_limit);
  }
  auto over = call(3, 0);
  auto refused = filter.on_request(over->call).await_resume();
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, Errc::resource_exhausted);
  EXPECT_THAT(refused.error().detail,
              HasSubstr("the API key 'app' is over its limit of 3 requests per minute; retry in 20s"));
  EXPECT_EQ(over->call.retry_after, 20s);
  EXPECT_EQ(over->call.request_limit->remaining, 0);
}

TEST_F(LimitsFilterTest, ReservesTokensAndSettlesWhatWasUsed) {
  auto one = call(0, 1000, 600);
  ASSERT_TRUE(filter.on_request(one->call).await_resume().has_value());
  EXPECT_EQ(one->call.token_limit->limit, 1000);
  EXPECT_EQ(one->call.token_limit->remaining, 400);
  auto second = call(0, 1000, 600);
  auto refused = filter.on_request(second->call).await_resume();
  ASSERT_FALSE(refused.has_value());
  EXPECT_THAT(refused.error().detail, HasSubstr("1000 tokens per minute"));
  filter.on_settle(second->call);
  EXPECT_EQ(tokens_left(1000), 400) << "a refused call had nothing to give back";

  one->call.event.usage_known = true;
  one->call.event.status = 200;
  one->call.event.input_tokens = 80;
  one->call.event.output_tokens = 20;
  filter.on_settle(one->call);
  EXPECT_EQ(tokens_left(1000), 900);
}

TEST_F(LimitsFilterTest, ChargesWhatTheEstimateMissed) {
  auto one = call(0, 1000, 100);
  ASSERT_TRUE(filter.on_request(one->call).await_resume().has_value());
  one->call.event.usage_known = true;
  one->call.event.status = 200;
  one->call.event.output_tokens = 1500;
  filter.on_settle(one->call);
  auto next = call(0, 1000, 1);
  ASSERT_FALSE(filter.on_request(next->call).await_resume().has_value()) << "in debt";
  EXPECT_GT(*next->call.retry_after, 30s);
  EXPECT_LT(*next->call.retry_after, 31s);
}

TEST_F(LimitsFilterTest, GivesTheReservationBackAfterAFailure) {
  auto one = call(5, 1000, 600);
  ASSERT_TRUE(filter.on_request(one->call).await_resume().has_value());
  one->call.event.status = 502;
  filter.on_settle(one->call);
  EXPECT_EQ(tokens_left(1000), 1000);
  EXPECT_EQ(requests_left(5), 4) << "a request is a request";
}

TEST_F(LimitsFilterTest, GivesTheReservationBackWhenRequestsAreUsedUp) {
  ASSERT_TRUE(filter.on_request(call(1, 1000, 100)->call).await_resume().has_value());
  auto second = call(1, 1000, 100);
  ASSERT_FALSE(filter.on_request(second->call).await_resume().has_value());
  EXPECT_EQ(tokens_left(1000), 800);
  second->call.event.status = 429;
  filter.on_settle(second->call);
  EXPECT_EQ(tokens_left(1000), 900);
}

TEST_F(LimitsFilterTest, KeepsTheReservationOfAnAnswerWithoutUsage) {
  auto one = call(0, 1000, 600);
  ASSERT_TRUE(filter.on_request(one->call).await_resume().has_value());
  one->call.event.status = 200;
  filter.on_settle(one->call);
  EXPECT_EQ(tokens_left(1000), 400);
}

TEST_F(LimitsFilterTest, TreatsAnEstimateBeyondTheLimitAsAllOfIt) {
  auto one = call(0, 1000, 5000);
  ASSERT_TRUE(filter.on_request(one->call).await_resume().has_value()) << "else it could never pass";
  EXPECT_EQ(tokens_left(1000), 0);
  one->call.event.status = 500;
  filter.on_settle(one->call);
  EXPECT_EQ(tokens_left(1000), 1000);
}

TEST_F(LimitsFilterTest, AProviderCannotPutAKeyIntoDebtForever) {
  auto one = call(0, 1, 1);
  ASSERT_TRUE(filter.on_request(one->call).await_resume().has_value());
  one->call.event.usage_known = true;
  one->call.event.status = 200;
  one->call.event.input_tokens = one->call.event.output_tokens = 1'000'000'000'000;
  filter.on_settle(one->call);
  auto next = call(0, 1, 1);
  ASSERT_FALSE(filter.on_request(next->call).await_resume().has_value());
  EXPECT_GT(*next->call.retry_after, 0s);
  EXPECT_LE(*next->call.retry_after, 24h);
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
  ASSERT_TRUE(filter.on_request(call(1, 0)->call).await_resume().has_value());
  auto over = call(1, 0);
  auto refused = filter.on_request(over->call).await_resume();
  ASSERT_FALSE(refused.has_value());
  rt::spawn(flow::refuse(over->call, refused.error()));
  EXPECT_EQ(over->exchange.status(), 429);
  EXPECT_EQ(over->exchange.answer_field("retry-after"), "60");
  EXPECT_EQ(over->exchange.answer_field("retry-after-ms"), "60000");
  EXPECT_EQ(over->exchange.answer_field("x-ratelimit-remaining-requests"), "0");
  EXPECT_EQ(over->call.event.error_type, obs::ErrorType::policy_limit);
}

}  // namespace
}  // namespace penstock::ext
