// Three gateways' books over a real server, asked by threads for all they give: what all give out together, while the
// server is there, killed, and empty again. Skips where there is none.
#include <gmock/gmock.h>

#include <atomic>
#include <condition_variable>

#include "base/clock.h"
#include "ext/shares/redis/redis_share.h"
#include "quota/sharer.h"
#include "redis_server.h"

namespace penstock::ext {
namespace {

using namespace std::chrono_literals;

constexpr int kSize = 3;
constexpr int kCallers = 4;

quota::Now now() { return {base::system_clock().steady(), base::system_clock().wall()}; }

// A gateway without anything but its limits: callers that ask again and again, each for `ask`, using `used` of it.
class Gateway {
 public:
  Gateway(const std::string& socket, int number, std::string_view rules)
      : account_(book_.account("key:k", "the API key 'k'", *quota::parse_rules(rules))),
        sharer_(ports(), base::system_clock()) {
    book_.on_slice_used([this] { sharer_.wake(); });
    RedisShareOptions options;
    options.address.socket = socket;
    options.gateway = "gateway" + std::to_string(number);
    quota::ShareConfig config;
    config.store.open = [options] { return std::make_unique<RedisShare>(options); };
    config.spec = "x";
    config.gateways = kSize;
    sharer_.configure(config);
    sharer_.start();
  }
  ~Gateway() {
    end();
    sharer_.stop();
  }

  void begin(const quota::Ask& ask, const quota::Used& used) {
    for (int i = 0; i < kCallers; ++i) callers_.emplace_back([this, ask, used] { call(ask, used); });
  }
  void end() {
    ending_ = true;
    for (std::thread& caller : callers_) caller.join();
    callers_.clear();
  }

  quota::ShareStatus status() const { return sharer_.status(); }
  std::int64_t granted() const { return granted_; }
  base::SteadyTime last_granted() const { return last_granted_; }
  base::SteadyTime last_refused() const { return last_refused_; }

 private:
  quota::SharerPorts ports() {
    quota::SharerPorts ports;
    ports.uses = [this](const quota::Now& at) { return book_.shared_uses(at); };
    ports.apply = [this](const std::vector<quota::SharedSum>& sums, const quota::Now& at) { book_.apply(sums, at); };
    ports.set = [this](const quota::SharingState& state, const quota::Now& at) { book_.set_sharing(state, at); };
    return ports;
  }

  // A call as a connection makes it: it waits where that makes sense.
  void call(const quota::Ask& ask, const quota::Used& used) {
    std::array<quota::Account*, 1> accounts{account_.get()};
    while (!ending_) {
      auto got = book_.reserve(accounts, ask, now());
      if (!got && got.error().may_wait) got = wait(accounts, ask);
      if (!got) {
        last_refused_ = base::system_clock().steady();
        std::this_thread::sleep_for(2ms);
        continue;
      }
      got->settle(used, now());
      ++granted_;
      last_granted_ = base::system_clock().steady();
      std::this_thread::sleep_for(1ms);
    }
  }

  std::expected<quota::Reservation, quota::Denial> wait(std::span<quota::Account* const> accounts,
                                                        const quota::Ask& ask) {
    std::mutex mutex;
    std::condition_variable changed;
    bool woken = false;
    auto ticket = book_.wait(accounts, ask, now(), [&] {
      std::lock_guard lock(mutex);
      woken = true;
      changed.notify_one();
    });
    while (true) {
      if (auto answer = ticket->poll(now())) return std::move(*answer);
      std::unique_lock lock(mutex);
      changed.wait_until(lock, ticket->due(), [&] { return woken; });
      woken = false;
    }
  }

  quota::Book book_;
  std::shared_ptr<quota::Account> account_;
  quota::Sharer sharer_;
  std::vector<std::thread> callers_;
  std::atomic<bool> ending_ = false;
  std::atomic<std::int64_t> granted_ = 0;
  std::atomic<base::SteadyTime> last_granted_{};
  std::atomic<base::SteadyTime> last_refused_{};
};

class FleetTest : public testing::Test {
 protected:
  void SetUp() override {
    if (RedisServer::program().empty())
      GTEST_SKIP() << "no redis-server or valkey-server is installed; ./dev setup test installs one";
    server.emplace();
  }
  void TearDown() override { gateways.clear(); }

  void begin(std::string_view rules, const quota::Ask& ask, const quota::Used& used, bool wait_for_store = true) {
    for (int i = 0; i < kSize; ++i) gateways.push_back(std::make_unique<Gateway>(server->socket(), i, rules));
    if (wait_for_store) all_connected(true);
    for (auto& gateway : gateways) gateway->begin(ask, used);
  }
  void all_connected(bool connected) {
    eventually([&] {
      return std::all_of(gateways.begin(), gateways.end(), [&](const auto& one) {
        const quota::ShareStatus status = one->status();
        return status.connected == connected && (!connected || status.gateways == kSize);
      });
    });
  }
  void used_up() {
    eventually([&] {
      const base::SteadyTime quiet = base::system_clock().steady() - 1500ms;
      return std::all_of(gateways.begin(), gateways.end(),
                         [&](const auto& one) { return one->last_granted() < quiet && one->last_refused() > quiet; });
    });
  }
  static void eventually(const std::function<bool()>& condition) {
    for (int i = 0; i < 6000; ++i) {
      if (condition()) return;
      std::this_thread::sleep_for(10ms);
    }
    FAIL() << "waited in vain";
  }
  std::int64_t granted() const {
    std::int64_t sum = 0;
    for (const auto& gateway : gateways) sum += gateway->granted();
    return sum;
  }
  void report(std::int64_t limit, std::int64_t bound) {
    std::printf("     granted %lld of %lld, bound %lld\n", static_cast<long long>(granted()),
                static_cast<long long>(limit), static_cast<long long>(bound));
  }

  std::optional<RedisServer> server;
  std::vector<std::unique_ptr<Gateway>> gateways;
};

TEST_F(FleetTest, ALimitHoldsOverAllAndNothingIsWasted) {
  begin("limits: { requests: 1000/day }", {}, {});
  used_up();
  report(1000, 1060);
  EXPECT_LE(granted(), 1060);
  EXPECT_GE(granted(), 1000);
}

// Each call holds four times what it uses: 1,000 micro-dollars.
TEST_F(FleetTest, ABudgetHoldsOverAllAndNothingIsWasted) {
  begin("budget: 1USD/month", {.cost = 4000}, {.cost = 1000});
  used_up();
  report(1000, 1060);
  EXPECT_LE(granted(), 1060);
  EXPECT_GE(granted(), 996);
}

TEST_F(FleetTest, TheServerMayDieAndComeBackEmpty) {
  begin("limits: { requests: 4000/day }", {}, {});
  eventually([&] { return granted() > 1000; });
  server->kill();
  all_connected(false);
  const std::int64_t before = granted();
  eventually([&] { return granted() > before; });
  std::this_thread::sleep_for(300ms);
  server->start();
  all_connected(true);
  used_up();
  report(4000, 4480);
  EXPECT_LE(granted(), 4480);  // a slice each, and once more for the loss of data
  EXPECT_GE(granted(), 4000);
}

TEST_F(FleetTest, WithoutTheServerEachGivesOutItsPart) {
  begin("limits: { requests: 2000/day }", {}, {});
  eventually([&] { return granted() > 500; });
  server->kill();
  used_up();
  report(2000, 2120);
  EXPECT_LE(granted(), 2120);
  EXPECT_GE(granted(), 1880);
}

TEST_F(FleetTest, WithoutAServerFromTheStartEachGivesOutItsPart) {
  server->kill();
  begin("limits: { requests: 600/day }", {}, {}, false);
  used_up();
  report(600, 600);
  EXPECT_LE(granted(), 600);
  EXPECT_GE(granted(), 597);
}

}  // namespace
}  // namespace penstock::ext
