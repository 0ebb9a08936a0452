#include "ingest/device_check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ingest/payload.h"

namespace penstock::ingest {
namespace {

TEST(CheckDevice, TakesWhatPeopleCallMachines) {
  for (std::string_view good : {"press-7", "Presse 7 (Süd)", "p'1\"", "a.b:c"}) EXPECT_TRUE(check_device(good)) << good;
  EXPECT_TRUE(check_device(std::string(kDeviceBytesMax, 'x')));
}

TEST(CheckDevice, RefusesWhatBreaksTopicsAndText) {
  using namespace std::string_view_literals;
  for (std::string_view bad : {""sv, "a/b"sv, "+"sv, "a#"sv, "a\0b"sv, "a\nb"sv, "a\x7f"sv, "\xff\xfe"sv, "a\xc3"sv}) {
    EXPECT_EQ(check_device(bad).error().code, Errc::invalid_argument) << bad;
  }
  EXPECT_FALSE(check_device(std::string(kDeviceBytesMax + 1, 'x')));
}

// Whatever the format a name comes in.
TEST(CheckDevice, IsAskedByEveryFormat) {
  const SampleDefaults defaults{.device = "plant", .now = 1};
  const auto refused = [&](Format format, std::string_view bytes) {
    auto samples = samples_from(format, bytes, defaults);
    return samples ? std::string("taken") : samples.error().detail;
  };
  const auto why = testing::HasSubstr("the name of the device is refused");
  EXPECT_THAT(refused(Format::json, R"({"device":"a/b","x":1})"), why);
  EXPECT_THAT(refused(Format::json, R"([{"x":1},{"device":"a\u0000b","x":1}])"),
              testing::AllOf(why, testing::HasSubstr("element 1")));
  EXPECT_THAT(refused(Format::ndjson, "{\"x\":1}\n{\"device\":\"#\",\"x\":1}\n"),
              testing::AllOf(why, testing::HasSubstr("line 2")));
  EXPECT_THAT(refused(Format::csv, "device,x\n\xff,1\n"), testing::AllOf(why, testing::HasSubstr("line 2")));
  EXPECT_THAT(refused(Format::line, "m,device=a\xff x=1\n"), why);
  EXPECT_THAT(refused(Format::line, "m,host=a/b x=1\n"), why);
  EXPECT_THAT(refused(Format::cbor,
                      "\xa2\x66"
                      "device\x63"
                      "a/b\x61x\x01"),
              why);
}

}  // namespace
}  // namespace penstock::ingest
