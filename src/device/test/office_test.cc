#include "device/office.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <barrier>
#include <filesystem>
#include <functional>
#include <thread>

namespace penstock::device {
namespace {

// Two who work on the same devices, each with hands of its own, as the admin API and the command line.
class TwoOffices : public testing::Test {
 protected:
  struct Hands {
    explicit Hands(const std::string& path) : state(*store::State::open(path)), store(state), office(store, path, {}) {}
    store::State state;
    store::DeviceStore store;
    Office office;
  };
  ~TwoOffices() override { std::filesystem::remove_all(path_); }
  // Both at once, each as often as told.
  void race(const std::function<void(Office&)>& one, const std::function<void(Office&)>& other) {
    std::barrier start(2);
    std::thread beside([&] {
      start.arrive_and_wait();
      other(second_.office);
    });
    start.arrive_and_wait();
    one(first_.office);
    beside.join();
  }
  std::string state_of(const std::string& name) { return first_.store.device(name).value().value().state; }

  const std::string path_ = std::filesystem::temp_directory_path() / ("penstock-office-" + base::random_token(9));
  const store::Actor by_{"cli:test", 5};
  Hands first_{path_};
  Hands second_{path_};
};

TEST_F(TwoOffices, AQuarantineIsNotLostToAChangeBesideIt) {
  for (int round = 0; round < 30; ++round) {
    const std::string name = fmt::format("press-{}", round);
    ASSERT_TRUE(first_.office.create(name, {}, by_));
    race(
        [&](Office& office) {
          for (int i = 0; i < 10; ++i)
            EXPECT_TRUE(office.change(name, {.profile = fmt::format("p{}", i), .groups = {}, .tags = {}}, by_));
        },
        [&](Office& office) { EXPECT_TRUE(office.quarantine(name, "it shouts", by_)); });
    ASSERT_EQ(state_of(name), "quarantined") << round;
    ASSERT_EQ(first_.store.device(name).value()->profile, "p9") << round;
  }
}

TEST_F(TwoOffices, TheRetiredStayRetired) {
  for (int round = 0; round < 30; ++round) {
    const std::string name = fmt::format("press-{}", round);
    ASSERT_TRUE(first_.office.secret(name, false, by_));
    race(
        [&](Office& office) {
          for (int i = 0; i < 5; ++i) {
            (void)office.quarantine(name, "it shouts", by_);
            (void)office.release(name, by_);
            (void)office.secret(name, false, by_);
          }
        },
        [&](Office& office) { EXPECT_TRUE(office.retire(name, by_)); });
    ASSERT_EQ(state_of(name), "retired") << round;
    ASSERT_TRUE(first_.store.credentials(name).value().empty()) << round;
    EXPECT_EQ(first_.office.change(name, {}, by_).error().code, Errc::failed_precondition);
  }
}

TEST_F(TwoOffices, BothMayMakeTheDeviceTheyGiveASecretTo) {
  for (int round = 0; round < 20; ++round) {
    const std::string name = fmt::format("press-{}", round);
    const auto give = [&](Office& office) { EXPECT_TRUE(office.secret(name, false, by_)); };
    race(give, give);
    EXPECT_EQ(first_.store.credentials(name).value().size(), 2U);
  }
}

}  // namespace
}  // namespace penstock::device
