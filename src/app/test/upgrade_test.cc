#include "app/upgrade.h"

#include <gmock/gmock.h>

namespace penstock::app {
namespace {

TEST(Successor, IsNotStartedWithoutAllTheSockets) {
  auto started =
      Successor::start({"/bin/true", {"true"}}, {{0, "penstock"}, {-1, "penstock"}}, std::chrono::seconds(5));
  ASSERT_FALSE(started);
  EXPECT_THAT(started.error().detail, testing::HasSubstr("cannot be handed over"));
}

}  // namespace
}  // namespace penstock::app
