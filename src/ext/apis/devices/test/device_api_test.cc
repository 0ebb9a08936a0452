#include "ext/apis/devices/device_api.h"

#include <gmock/gmock.h>

#include <filesystem>

#include "device/command.h"
#include "device/office.h"
#include "flow/test/api_harness.h"

namespace penstock::ext {

void register_apis_devices(base::Registry& registry);

namespace {

using testing::HasSubstr;

// The device whose credential came: what the filter of keys does.
class IsDevice : public flow::Filter {
 public:
  explicit IsDevice(const bool& revoked)
      : revoked_(revoked), key_(obs::intern("device:press-7"), "device:press-7", profile_) {}
  Result<void> on_head(flow::Call& call) override {
    if (revoked_) return fail(Errc::unauthenticated, "it was taken back");
    if (!call.exchange.request().field("authorization").empty()) call.key = &key_;
    return {};
  }

 private:
  const bool& revoked_;
  flow::Profile profile_;
  flow::Key key_;
};

struct DeviceApiTest : testing::Test {
  std::string path = std::filesystem::temp_directory_path() / ("penstock-device-api-" + base::random_token(9));
  base::Secret installation{"an installation's secret"};
  bool revoked = false;
  std::unique_ptr<device::Clerk> clerk;
  flow::ApiHarness api;

  DeviceApiTest() {
    clerk = std::move(*device::Clerk::open({.data_dir = path, .installation = installation}));
    api.services.put(clerk.get());
    api.build(register_apis_devices);
    std::vector<std::unique_ptr<flow::Filter>> filters;
    filters.push_back(std::make_unique<IsDevice>(revoked));
    api.use(std::move(filters));
  }
  ~DeviceApiTest() override {
    clerk.reset();
    std::filesystem::remove_all(path);
  }
  // What somebody else does to the store meanwhile.
  template <class Work>
  auto office(Work work) {
    auto state = store::State::open(path);
    store::DeviceStore store(*state);
    device::Office made(store, path, installation);
    auto done = work(made, store);
    clerk->refresh();
    return done;
  }
  http::FakeExchange ask(std::string method, std::string where, std::string body = {}, bool credential = true) {
    http::FakeExchange exchange(api.loop, std::move(method), std::move(where), std::move(body));
    if (credential) exchange.field("authorization", "Bearer it is");
    api.run(exchange);
    return exchange;
  }
  static store::Actor somebody() { return {"cli:test", base::system_clock().wall()}; }
};

TEST_F(DeviceApiTest, IsForTheDeviceItselfAlone) {
  ASSERT_TRUE(office([](auto& o, auto&) { return o.create("press-7", {}, somebody()); }).has_value());
  EXPECT_EQ(ask("GET", "/devices/press-7/twin").status(), 200);
  EXPECT_EQ(ask("GET", "/devices/press-8/twin").status(), 403);
  EXPECT_EQ(ask("GET", "/devices/press-7/twin", "", false).status(), 401);
  ASSERT_TRUE(office([](auto& o, auto&) { return o.quarantine("press-7", "it shouts", somebody()); }).has_value());
  auto refused = ask("GET", "/devices/press-7/commands");
  EXPECT_EQ(refused.status(), 403);
  EXPECT_THAT(refused.answer(), HasSubstr("it shouts"));
}

TEST_F(DeviceApiTest, GivesACredentialForACodeOnce) {
  auto code = office([](auto& o, auto&) { return o.onboard_code("press-7", std::chrono::hours(1), somebody()); });
  ASSERT_TRUE(code.has_value());
  std::string body = fmt::format(R"({{"code":"{}"}})", code->secret.reveal());
  EXPECT_EQ(ask("POST", "/devices/onboard", "{", false).status(), 400);
  EXPECT_EQ(ask("POST", "/devices/onboard", R"({"code":"2222-2222"})", false).status(), 404);
  auto first = ask("POST", "/devices/onboard", body, false);
  EXPECT_EQ(first.status(), 201) << first.answer();
  EXPECT_THAT(first.answer(), HasSubstr(R"("secret":"pd-)"));
  EXPECT_EQ(ask("POST", "/devices/onboard", body, false).status(), 404);
}

TEST_F(DeviceApiTest, TakesWhatADeviceReportsAndNothingElse) {
  ASSERT_TRUE(office([](auto& o, auto&) { return o.create("press-7", {}, somebody()); }).has_value());
  EXPECT_EQ(ask("PUT", "/devices/press-7/twin/reported", R"({"rate":5})").answer(), R"({"version":1})");
  EXPECT_EQ(ask("PUT", "/devices/press-7/twin/reported", "[1]").status(), 400);
  EXPECT_EQ(clerk->registry().standing("press-7")->malformed, 1U);
}

// What is asked for, and milliseconds until the credential is taken back. 0: while the store is asked for the first
// time.
struct DeviceApiWaitTest : DeviceApiTest, testing::WithParamInterface<std::pair<const char*, int>> {};
INSTANTIATE_TEST_SUITE_P(All, DeviceApiWaitTest,
                         testing::ValuesIn(std::vector<std::pair<const char*, int>>{{"commands?wait=30s", 0},
                                                                                    {"commands?wait=30s", 20},
                                                                                    {"twin/desired?wait=30s", 0},
                                                                                    {"twin/desired?wait=30s", 20}}));

TEST_P(DeviceApiWaitTest, GivesNothingForACredentialThatWasTakenBack) {
  ASSERT_TRUE(office([](auto& o, auto&) { return o.create("press-7", {}, somebody()); }).has_value());
  rt::Timer meanwhile(api.loop);
  meanwhile.arm_in(std::chrono::milliseconds(GetParam().second), [&] {
    revoked = true;
    auto command = device::make_command("press-7", "blink", {}, std::chrono::hours(1), somebody().at);
    ASSERT_TRUE(command.has_value());
    ASSERT_TRUE(office([&](auto&, auto& store) { return store.add_command(*command, somebody()); }).has_value());
  });
  http::FakeExchange exchange(api.loop, "GET", fmt::format("/devices/press-7/{}", GetParam().first));
  exchange.field("authorization", "Bearer it is");
  exchange.field("if-none-match", "\"0\"");
  api.run(exchange);
  EXPECT_EQ(exchange.status(), 401) << exchange.answer();
}

TEST_F(DeviceApiTest, DeliversACommandAndTakesItsAnswer) {
  ASSERT_TRUE(office([](auto& o, auto&) { return o.create("press-7", {}, somebody()); }).has_value());
  EXPECT_EQ(ask("GET", "/devices/press-7/commands").answer(), R"({"commands":[]})");
  store::StoredCommand command;
  command.id = "c1";
  command.device = "press-7";
  command.name = "blink";
  command.created = base::system_clock().wall();
  command.expires = command.created + 60'000'000;
  ASSERT_TRUE(office([&](auto&, auto& store) { return store.add_command(command, somebody()); }).has_value());
  EXPECT_THAT(ask("GET", "/devices/press-7/commands?wait=5s").answer(), HasSubstr(R"("name":"blink")"));
  EXPECT_EQ(ask("GET", "/devices/press-7/commands").answer(), R"({"commands":[]})");
  EXPECT_EQ(ask("POST", "/devices/press-7/commands/c1", R"({"state":"maybe"})").status(), 400);
  EXPECT_EQ(ask("POST", "/devices/press-7/commands/c1", R"({"state":"done"})").status(), 200);
  EXPECT_EQ(ask("POST", "/devices/press-7/commands/c2", R"({"state":"done"})").status(), 404);
  EXPECT_EQ(ask("GET", "/devices/press-7/commands?wait=soon").status(), 400);
}

}  // namespace
}  // namespace penstock::ext
