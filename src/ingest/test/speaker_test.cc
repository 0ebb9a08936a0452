#include "ingest/speaker.h"

#include <gtest/gtest.h>

namespace penstock::ingest {
namespace {

std::vector<Sample> of(const std::vector<std::string>& devices) {
  std::vector<Sample> samples;
  for (const std::string& device : devices) samples.emplace_back().device = device;
  return samples;
}

TEST(Speaking, EverybodySpeaksForAnybodyUnlessTold) {
  EXPECT_EQ(speaker_or("plant"), "plant");
  EXPECT_TRUE(check_speaker(of({"a", "b"})).has_value());
  Speaking anybody("");
  EXPECT_TRUE(check_speaker(of({"a", "b"})).has_value());
}

TEST(Speaking, ADeviceSpeaksForItselfAlone) {
  {
    Speaking speaking("a");
    EXPECT_EQ(speaker_or("plant"), "a");
    EXPECT_TRUE(check_speaker(of({"a", "a"})).has_value());
    EXPECT_EQ(check_speaker(of({"a", "b"})).error().code, Errc::permission_denied);
    {
      Speaking other("b");
      EXPECT_EQ(Speaking::device(), "b");
    }
    EXPECT_EQ(Speaking::device(), "a");
  }
  EXPECT_EQ(Speaking::device(), "");
}

}  // namespace
}  // namespace penstock::ingest
