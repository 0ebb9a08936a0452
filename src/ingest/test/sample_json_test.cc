#include "ingest/sample_json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ingest/csv.h"

namespace penstock::ingest {
namespace {

using testing::HasSubstr;

const SampleDefaults kDefaults{"press", 1'700'000'000'000'000};

std::string round_trip(std::string_view text) {
  auto samples = samples_from_json(text, kDefaults);
  if (!samples) return "error: " + samples.error().detail;
  std::string out;
  for (const Sample& sample : *samples) out += (out.empty() ? "" : "\n") + to_json(sample);
  return out;
}

TEST(SampleJson, ReadsAndWrites) {
  EXPECT_EQ(round_trip(R"({"temp":81.5,"n":7,"on":true,"s":"a\"b"})"),
            R"({"time":"2023-11-14T22:13:20.000Z","device":"press","temp":81.5,"n":7,"on":true,"s":"a\"b"})");
  std::string full = R"({"time":"2026-01-31T12:00:00.123456Z","device":"d","quality":"bad","temp":1.5,"vib[]":[1,2.5],)"
                     R"("units":{"temp":"degC"},"tags":{"line":"A"}})";
  EXPECT_EQ(round_trip(full), full);
}

TEST(SampleJson, FlattensNestedValues) {
  EXPECT_EQ(
      round_trip(R"({"motor":{"temp":1,"axis":[{"x":2},{"x":3}]},"none":null,"v":[1,2]})"),
      R"({"time":"2023-11-14T22:13:20.000Z","device":"press","motor.temp":1,"motor.axis.0.x":2,"motor.axis.1.x":3,"v":[1,2]})");
}

TEST(SampleJson, ReadsArraysAndLines) {
  EXPECT_EQ(samples_from_json("[{\"a\":1},{\"a\":2}]", kDefaults)->size(), 2U);
  EXPECT_EQ(samples_from_json("{\"a\":1}\n\n{\"a\":2}\r\n{\"a\":3}", kDefaults)->size(), 3U);
  EXPECT_EQ(samples_from_json("{\n \"a\": 1\n}\n", kDefaults)->size(), 1U);
}

TEST(SampleJson, NamesThePlaceOfAMistake) {
  EXPECT_THAT(round_trip("{\"a\":1}\n{\"a\":}\n"), HasSubstr("line 2: malformed JSON at byte 5"));
  EXPECT_THAT(round_trip("[{\"a\":1},7]"), HasSubstr("element 1: expected a JSON object"));
  EXPECT_THAT(round_trip("{\"time\":\"yesterday\"}"), HasSubstr("'time' is no time; write 2026-"));
  EXPECT_THAT(round_trip("{\"quality\":\"fine\"}"), HasSubstr("'quality' is not one of"));
  EXPECT_THAT(round_trip(" \n"), HasSubstr("the message is empty"));
  std::string wide = "{";
  for (int i = 0; i < 600; ++i) wide += fmt::format("{}\"f{}\":1", i > 0 ? "," : "", i);
  EXPECT_THAT(round_trip(wide + "}"), HasSubstr("at most 512"));
}

TEST(SampleTime, ReadsWhatDevicesWrite) {
  const std::pair<const char*, std::int64_t> rows[] = {
      {"1970-01-01T00:00:01Z", 1'000'000},
      {"2024-02-29T23:59:59.5Z", 1'709'251'199'500'000},
      {"2024-03-01T00:59:59+01:00", 1'709'251'199'000'000},
      {"2024-02-29 18:29:59-0530", 1'709'251'199'000'000},
      {"2024-02-29", 1'709'164'800'000'000},
      {"1700000000", 1'700'000'000'000'000},
      {"1700000000.25", 1'700'000'000'250'000},
      {"1700000000250", 1'700'000'000'250'000},
      {"1700000000250000", 1'700'000'000'250'000},
      {"1700000000250000000", 1'700'000'000'250'000},
  };
  for (const auto& [text, micros] : rows) {
    auto time = parse_time(text);
    ASSERT_TRUE(time.has_value()) << text;
    EXPECT_EQ(*time, micros) << text;
  }
  for (const char* text : {"", "2023-02-29", "2024-01-01T25:00:00Z", "2024-01-01T10:00:00X", "10:00", "1e40",
                           "2024-1-1", "-92e9", "5e20", "0000-01-01T00:00:00+23:00", "9999-12-31T23:59:59-23:00"}) {
    EXPECT_FALSE(parse_time(text).has_value()) << text;
  }
}

TEST(Csv, ReadsHeaderUnitsAndTypes) {
  auto samples = samples_from_csv(
      "\xEF\xBB\xBFtime,device,temp [degC],state,on,empty\r\n2026-01-31T12:00:00Z,p1,81.5,\"a, "
      "\"\"b\"\"\",true,\r\n\r\n"
      "1700000000,,2,x,false,3\n",
      kDefaults);
  ASSERT_TRUE(samples.has_value()) << samples.error().detail;
  ASSERT_EQ(samples->size(), 2U);
  const Sample& first = samples->at(0);
  EXPECT_EQ(first.device, "p1");
  EXPECT_EQ(first.find("temp")->unit, "degC");
  EXPECT_EQ(std::get<double>(first.find("temp")->value), 81.5);
  EXPECT_EQ(std::get<std::string>(first.find("state")->value), "a, \"b\"");
  EXPECT_TRUE(std::get<bool>(first.find("on")->value));
  EXPECT_EQ(first.find("empty"), nullptr);
  EXPECT_EQ(samples->at(1).device, "press");
  EXPECT_EQ(samples->at(1).event_time, 1'700'000'000'000'000);
}

TEST(Csv, NamesTheLineOfAMistake) {
  EXPECT_THAT(samples_from_csv("a,b\n1,2\n1\n", kDefaults).error().detail,
              HasSubstr("line 3: 1 cells where the header has 2"));
  EXPECT_THAT(samples_from_csv("a\n\"x\n\ny", kDefaults).error().detail, HasSubstr("line 2: a closing quote"));
  EXPECT_THAT(samples_from_csv("time\nsoon\n", kDefaults).error().detail,
              HasSubstr("line 2: 'soon' in column time is no time"));
}

}  // namespace
}  // namespace penstock::ingest
