#include "flow/front.h"

#include <gmock/gmock.h>

#include "flow/dialect.h"
#include "flow/test/api_harness.h"

namespace penstock::flow {
namespace {

class NamedDialect : public Dialect {
 public:
  explicit NamedDialect(std::string name) : name_(std::move(name)) {}
  std::string error_body(int, const Error& error, std::string_view id) const override {
    return fmt::format("{} {}: {}", name_, id, error.detail);
  }
  void add_fields(const Call& call, http::ResponseHead& head) const override {
    head.add_lines("x-", name_, "-id: ", call.event.id.view(), "\r\n");
  }

 private:
  std::string name_;
};

CallHandler saying(std::string_view what) {
  return [what](Call& call, http::Params) { return refuse(call, {Errc::invalid_argument, std::string(what)}); };
}

// Two APIs that share a path: one's clients send the field x-b.
struct SharedPath : testing::Test {
  ApiHarness api;

  SharedPath() {
    api.front.dialect("a", std::make_unique<NamedDialect>("a"));
    api.front.dialect("b", std::make_unique<NamedDialect>("b"));
    api.front.route("GET", "/models", "a", saying("list"));
    api.front.route("GET", "/models/{id...}", "a", saying("model"));
    api.front.route("POST", "/models", "a", saying("make"));
    api.front.route_if("x-b", "GET", "/models", "b", saying("list"));
    api.front.route_if("x-b", "GET", "/models/{id...}", "b", saying("model"));
  }

  std::string answer(std::string method, std::string path, bool marked) {
    http::FakeExchange exchange(api.loop, std::move(method), std::move(path));
    exchange.field("x-request-id", "7");
    if (marked) exchange.field("x-b", "1");
    api.run(exchange);
    EXPECT_EQ(exchange.answer_field("x-a-id").empty(), exchange.answer().starts_with("b"));
    EXPECT_EQ(exchange.answer_field("x-b-id").empty(), exchange.answer().starts_with("a"));
    return exchange.answer();
  }
};

TEST_F(SharedPath, BelongsToTheOneWhoseClientsSendTheField) {
  EXPECT_EQ(answer("GET", "/models", true), "b 7: list");
  EXPECT_EQ(answer("GET", "/models/x/y", true), "b 7: model");
}

TEST_F(SharedPath, BelongsToTheOtherWithoutIt) {
  EXPECT_EQ(answer("GET", "/models", false), "a 7: list");
  EXPECT_EQ(answer("GET", "/models/x", false), "a 7: model");
}

TEST_F(SharedPath, OnlyTheMethodsNamedAreShared) { EXPECT_EQ(answer("POST", "/models", true), "a 7: make"); }

TEST_F(SharedPath, TheFieldIsFoundWhateverItsCase) {
  http::FakeExchange exchange(api.loop, "GET", "/models");
  exchange.field("X-B", "1");
  api.run(exchange);
  EXPECT_THAT(exchange.answer(), testing::StartsWith("b "));
}

TEST_F(SharedPath, TheCallIsRecordedForTheApiThatAnswered) {
  answer("GET", "/models", true);
  EXPECT_EQ(api.event().api.view(), "b");
}

}  // namespace
}  // namespace penstock::flow
