#include "flow/admission.h"

#include <gmock/gmock.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "flow/dialect.h"
#include "flow/filter.h"
#include "http/test/fake_exchange.h"

namespace penstock::flow {
namespace {

using testing::HasSubstr;

constexpr auto kAll = {Priority::critical, Priority::high, Priority::normal, Priority::low};

AdmissionLimits without_lag(std::int64_t requests) {
  AdmissionLimits limits;
  limits.requests = requests;
  limits.lag = {};
  return limits;
}

std::string metrics_of(const Admission& admission) {
  obs::MetricWriter writer;
  admission.collect(writer);
  return writer.text();
}

TEST(ShareOut, ServesTheHighestClassFirst) {
  EXPECT_EQ(share_out({10, 10, 10, 10}, 40), (Shares{1, 1, 1, 1}));
  EXPECT_EQ(share_out({10, 10, 10, 10}, 35), (Shares{1, 1, 1, 0.5}));
  EXPECT_EQ(share_out({10, 10, 10, 10}, 25), (Shares{1, 1, 0.5, 0}));
  EXPECT_EQ(share_out({10, 0, 0, 0}, 5), (Shares{0.5, 0, 0, 0}));
  EXPECT_EQ(share_out({0, 0, 10, 0}, 20), (Shares{1, 1, 1, 1})) << "a class nobody asked for may begin";
}

TEST(Admission, StopsEachClassAtItsShareOfTheRequestsInFlight) {
  rt::Loop loop;
  Admission admission(1, std::make_shared<http::Burden>(1), without_lag(100));
  std::array<int, kPriorities> stopped_at{};
  for (int in_flight = 1; in_flight <= 110; ++in_flight) {
    admission.enter(loop);
    for (Priority priority : kAll) {
      int& at = stopped_at[static_cast<std::size_t>(priority)];
      auto reason = admission.refuses(loop, priority);
      if (!reason) continue;
      EXPECT_EQ(*reason, ShedReason::requests);
      if (at == 0) at = in_flight;
    }
  }
  EXPECT_EQ(stopped_at, (std::array<int, kPriorities>{101, 96, 91, 81}));
  EXPECT_EQ(admission.in_flight(), 110);
  for (int i = 0; i < 110; ++i) admission.leave(loop);
  for (Priority priority : kAll) EXPECT_FALSE(admission.refuses(loop, priority));
  EXPECT_THAT(metrics_of(admission), HasSubstr("penstock_shed_total{reason=\"requests\",class=\"low\"} 30\n"));
}

TEST(Admission, CountsWhatOtherCoresHaveInFlight) {
  rt::Loop first(0);
  rt::Loop second(1);
  Admission admission(2, std::make_shared<http::Burden>(2), without_lag(100));
  for (int i = 0; i < 95; ++i) admission.enter(first);
  admission.enter(second);
  EXPECT_EQ(admission.refuses(second, Priority::normal), ShedReason::requests);
  EXPECT_FALSE(admission.refuses(second, Priority::critical));
}

TEST(Admission, RefusesWhenTooMuchIsHeld) {
  rt::Loop loop;
  auto burden = std::make_shared<http::Burden>(1, http::BurdenLimits{.buffered_bytes = 1000});
  Admission admission(1, burden, without_lag(100));
  burden->buffer(0, 850);
  EXPECT_EQ(admission.refuses(loop, Priority::low), ShedReason::buffered);
  EXPECT_FALSE(admission.refuses(loop, Priority::normal));
  burden->buffer(0, -850);
  EXPECT_FALSE(admission.refuses(loop, Priority::low));
}

TEST(Admission, RefusesWhenMemoryIsUsedUp) {
  rt::Loop loop;
  AdmissionLimits limits = without_lag(100);
  limits.memory_bytes = 1;
  Admission admission(1, std::make_shared<http::Burden>(1), limits);
  EXPECT_EQ(admission.refuses(loop, Priority::critical), ShedReason::memory);
  EXPECT_TRUE(admission.shedding());
}

TEST(Admission, ASpareConnectionIsTakenForNothing) {
  rt::Loop loop;
  Admission admission(1, std::make_shared<http::Burden>(1));
  EXPECT_EQ(admission.refuses(loop, Priority::critical, true), ShedReason::connections);
}

TEST(Admission, TellsAClientWithTooManyWrongKeysToWait) {
  rt::Loop loop;
  AdmissionLimits limits;
  limits.wrong_keys_per_minute = 3;
  auto admission = std::make_unique<Admission>(1, std::make_shared<http::Burden>(1), limits);
  for (int i = 0; i < 3; ++i) EXPECT_FALSE(admission->too_many_wrong_keys(loop, 7)) << i;
  auto wait = admission->too_many_wrong_keys(loop, 7);
  ASSERT_TRUE(wait);
  EXPECT_GT(*wait, std::chrono::seconds(1));
  EXPECT_LE(*wait, std::chrono::seconds(20));
  EXPECT_FALSE(admission->too_many_wrong_keys(loop, 8)) << "somebody else";
  for (int i = 0; i < 10; ++i) EXPECT_FALSE(admission->too_many_wrong_keys(loop, 0)) << "a local socket";
  EXPECT_THAT(metrics_of(*admission), HasSubstr("penstock_wrong_keys_refused_total 1\n"));
}

class Words : public Dialect {
 public:
  std::string error_body(int, const Error& error, std::string_view) const override { return error.detail; }
};

struct Stranger : Filter {
  Result<void> on_head(Call& call) override {
    call.wrong_key = true;
    return fail(Errc::unauthenticated, "not a key");
  }
};

std::shared_ptr<const Policy> policy_with(std::unique_ptr<Filter> filter) {
  std::vector<std::unique_ptr<Filter>> filters;
  if (filter) filters.push_back(std::move(filter));
  return std::make_shared<const Policy>(Callers{}, true, std::move(filters));
}

TEST(Admission, CountsOnlyCallsThatWereTaken) {
  rt::Loop loop;
  Words words;
  Admission admission(1, std::make_shared<http::Burden>(1), without_lag(1));
  http::FakeExchange exchange(loop);
  Call stranger(exchange, words, policy_with(std::make_unique<Stranger>()));
  stranger.admission = &admission;
  EXPECT_FALSE(identify(stranger));
  EXPECT_FALSE(stranger.in_flight);
  EXPECT_EQ(admission.in_flight(), 0) << "however long its refusal takes to go out";

  Profile profile;
  profile.priority = Priority::critical;
  Key key(obs::intern("app"), "", profile);
  auto ask = [&] {
    auto call = std::make_unique<Call>(exchange, words, policy_with(nullptr));
    call->admission = &admission;
    call->key = &key;
    EXPECT_EQ(identify(*call).has_value(), call->in_flight);
    return call;
  };
  EXPECT_TRUE(ask()->in_flight);
  EXPECT_EQ(admission.in_flight(), 1);
  EXPECT_FALSE(ask()->in_flight) << "the place is taken";
  EXPECT_EQ(admission.in_flight(), 1) << "and the one that was refused has none";
}

TEST(Admission, CountsWrongKeysForTheClientThatAProxyNames) {
  rt::Loop loop;
  Words words;
  AdmissionLimits limits;
  limits.wrong_keys_per_minute = 1;
  Admission admission(1, std::make_shared<http::Burden>(1), limits);
  http::FakeExchange exchange(loop);  // over a local socket
  auto policy = policy_with(std::make_unique<Stranger>());
  auto code_of = [&](const char* address) {
    Call call(exchange, words, policy);
    call.admission = &admission;
    call.forwarded.emplace();
    call.forwarded->endpoint = *net::parse_endpoint({address, 0});
    return identify(call).error().code;
  };
  EXPECT_EQ(code_of("203.0.113.1"), Errc::unauthenticated);
  EXPECT_EQ(code_of("203.0.113.1"), Errc::resource_exhausted);
  EXPECT_EQ(code_of("203.0.113.2"), Errc::unauthenticated) << "another client of the same proxy";
}

// A core that works `busy` per turn and always has something to do, and is asked for a call of every class each turn.
struct BusyCore : rt::Listener {
  rt::Loop loop;
  Admission admission;
  base::Duration busy;
  int turns_left;
  int fd = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  std::array<int, kPriorities> taken{};

  BusyCore(base::Duration lag, base::Duration turn, int turns)
      : admission(1, std::make_shared<http::Burden>(1), limits(lag)), busy(turn), turns_left(turns) {
    loop.add(fd, this);
  }
  ~BusyCore() override { ::close(fd); }
  static AdmissionLimits limits(base::Duration lag) {
    AdmissionLimits made;
    made.lag = lag;
    return made;
  }
  void run() {
    poke();
    loop.run();
  }
  void poke() const {
    std::uint64_t one = 1;
    ASSERT_EQ(::write(fd, &one, sizeof one), 8);
  }
  void on_ready(bool, bool, bool) override {
    for (Priority priority : kAll) taken[static_cast<std::size_t>(priority)] += !admission.refuses(loop, priority);
    auto end = std::chrono::steady_clock::now() + busy;
    while (std::chrono::steady_clock::now() < end) continue;
    if (--turns_left == 0) return loop.stop();
    poke();
  }
};

TEST(Admission, ACoreThatNeverCatchesUpTakesLessAndLowFirst) {
  BusyCore core(std::chrono::milliseconds(2), std::chrono::milliseconds(8), 60);
  core.run();
  EXPECT_LT(core.taken[3], 60);
  EXPECT_LE(core.taken[3], core.taken[2]);
  EXPECT_LE(core.taken[2], core.taken[1]);
  EXPECT_LE(core.taken[1], core.taken[0]);
  EXPECT_THAT(metrics_of(core.admission), HasSubstr("reason=\"lag\",class=\"low\""));
  EXPECT_TRUE(core.admission.shedding());
}

TEST(Admission, ACoreThatCatchesUpTakesAll) {
  BusyCore core(std::chrono::minutes(1), std::chrono::microseconds(200), 50);
  core.run();
  EXPECT_EQ(core.taken, (std::array<int, kPriorities>{50, 50, 50, 50}));
  EXPECT_FALSE(core.admission.shedding());
}

}  // namespace
}  // namespace penstock::flow
