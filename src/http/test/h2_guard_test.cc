#include "http/h2_guard.h"

#include <gmock/gmock.h>

namespace penstock::http {
namespace {

using std::chrono::milliseconds;
using wire::H2FrameType;

// How many frames of one kind, a millisecond apart, are let pass, up to 10,000.
int passed(H2FrameType type, std::size_t length, milliseconds apart, int sent_between = 0) {
  base::SteadyTime now{};
  H2Guard guard(now);
  for (int i = 0; i < 10'000; ++i) {
    if (!guard.on_frame(type, false, length, now += apart).empty()) return i;
    for (int k = 0; k < sent_between; ++k) guard.on_sent(H2FrameType::data);
  }
  return 10'000;
}

TEST(H2Guard, StopsFloodsOfEveryKind) {
  for (H2FrameType type : {H2FrameType::rst_stream, H2FrameType::ping, H2FrameType::settings, H2FrameType::priority,
                           H2FrameType::window_update, static_cast<H2FrameType>(200)}) {
    EXPECT_LT(passed(type, 8, milliseconds(0)), 1001) << static_cast<int>(type);
    EXPECT_GE(passed(type, 8, milliseconds(0)), 100) << static_cast<int>(type);
    EXPECT_EQ(passed(type, 8, milliseconds(100)), 10'000) << static_cast<int>(type);
  }
}

TEST(H2Guard, StopsFramesWithoutContentOnly) {
  for (H2FrameType type : {H2FrameType::data, H2FrameType::headers, H2FrameType::continuation}) {
    EXPECT_EQ(passed(type, 0, milliseconds(0)), 100) << static_cast<int>(type);
    EXPECT_EQ(passed(type, 1, milliseconds(0)), 10'000) << static_cast<int>(type);
  }
  H2Guard guard({});
  for (int i = 0; i < 1000; ++i) EXPECT_EQ(guard.on_frame(H2FrameType::data, true, 0, {}), "");
}

TEST(H2Guard, LetsAClientAnswerWhatItGets) {
  EXPECT_EQ(passed(H2FrameType::window_update, 4, milliseconds(0), 1), 10'000);
  EXPECT_EQ(passed(H2FrameType::ping, 8, milliseconds(0), 1), 10'000);
  EXPECT_EQ(passed(H2FrameType::rst_stream, 4, milliseconds(0), 1), 200);
}

TEST(H2Guard, CountsResetsItMadeTheServerSend) {
  H2Guard guard({});
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(guard.on_forced_reset({}), "");
    EXPECT_EQ(guard.on_frame(H2FrameType::rst_stream, false, 4, {}), "");
  }
  EXPECT_EQ(guard.on_forced_reset({}), "streams reset");
}

}  // namespace
}  // namespace penstock::http
