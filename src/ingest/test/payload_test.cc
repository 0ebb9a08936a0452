#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "ingest/cbor.h"
#include "ingest/line_protocol.h"
#include "ingest/payload.h"

namespace penstock::ingest {
namespace {

using namespace std::string_literals;
using testing::HasSubstr;

const SampleDefaults kDefaults{"source", 1'700'000'000'000'000};

std::string bytes_of(std::string_view hex) {
  std::string bytes;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2) {
    bytes += static_cast<char>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16));
  }
  return bytes;
}

struct Vector {
  const char* hex;
  const char* json;
};

// From RFC 8949 appendix A.
class CborVector : public testing::TestWithParam<Vector> {};

TEST_P(CborVector, IsReadAsItsDiagnosticSays) {
  auto value = value_from_cbor(bytes_of(GetParam().hex));
  ASSERT_TRUE(value) << value.error().detail;
  EXPECT_EQ(json::dump(*value), json::dump(*json::parse(GetParam().json)));
}

INSTANTIATE_TEST_SUITE_P(
    AppendixA, CborVector,
    testing::Values(Vector{"00", "0"}, Vector{"17", "23"}, Vector{"1818", "24"}, Vector{"1903e8", "1000"},
                    Vector{"1a000f4240", "1000000"}, Vector{"1b000000e8d4a51000", "1000000000000"},
                    Vector{"1bffffffffffffffff", "18446744073709551615"}, Vector{"20", "-1"}, Vector{"3903e7", "-1000"},
                    Vector{"3bffffffffffffffff", "-18446744073709551616.0"}, Vector{"f90000", "0.0"},
                    Vector{"f93c00", "1.0"}, Vector{"f93e00", "1.5"}, Vector{"f97bff", "65504.0"},
                    Vector{"f90001", "5.960464477539063e-8"}, Vector{"f90400", "0.00006103515625"},
                    Vector{"f9c400", "-4.0"}, Vector{"fa47c35000", "100000.0"}, Vector{"fb3ff199999999999a", "1.1"},
                    Vector{"fbc010666666666666", "-4.1"}, Vector{"f4", "false"}, Vector{"f5", "true"},
                    Vector{"f6", "null"}, Vector{"f7", "null"},
                    Vector{"c074323031332d30332d32315432303a30343a30305a", "\"2013-03-21T20:04:00Z\""},
                    Vector{"c11a514b67b0", "1363896240"}, Vector{"6449455446", "\"IETF\""}, Vector{"62c3bc", "\"ü\""},
                    Vector{"80", "[]"}, Vector{"8301820203820405", "[1,[2,3],[4,5]]"},
                    Vector{"a201020304", R"({"1":2,"3":4})"}, Vector{"a26161016162820203", R"({"a":1,"b":[2,3]})"},
                    Vector{"7f657374726561646d696e67ff", "\"streaming\""}, Vector{"9fff", "[]"},
                    Vector{"9f018202039f0405ffff", "[1,[2,3],[4,5]]"},
                    Vector{"bf61610161629f0203ffff", R"({"a":1,"b":[2,3]})"}));

class CborRefused : public testing::TestWithParam<Vector> {};

TEST_P(CborRefused, WithAReason) {
  auto value = value_from_cbor(bytes_of(GetParam().hex));
  ASSERT_FALSE(value);
  EXPECT_THAT(value.error().detail, HasSubstr(GetParam().json));
}

INSTANTIATE_TEST_SUITE_P(Malformed, CborRefused,
                         testing::Values(Vector{"", "too early"}, Vector{"18", "too early"},
                                         Vector{"62c3", "too early"}, Vector{"9b7fffffffffffffff01", "too early"},
                                         Vector{"5f41", "too early"}, Vector{"1c", "not defined"},
                                         Vector{"3f", "not defined"}, Vector{"dfff", "not defined"},
                                         Vector{"ff", "without a meaning"}, Vector{"f818", "without a meaning"},
                                         Vector{"61ff", "UTF-8"}, Vector{"4101", "no reading"},
                                         Vector{"d8554300000000", "half an element"}, Vector{"7f4161ff", "no string"},
                                         Vector{"a1f401", "name of a member"}, Vector{"0000", "behind the end"}));

TEST(Cbor, RefusesDeepNestingAndTooManyItems) {
  EXPECT_THAT(value_from_cbor(std::string(1000, '\x81')).error().detail, HasSubstr("nested"));
  EXPECT_THAT(value_from_cbor(std::string(1000, '\xc0')).error().detail, HasSubstr("nested"));
  std::string many = "\x9f";
  for (int i = 0; i < 40; ++i) {
    many += "\x9f"s + std::string(60'000, '\x01') + "\xff";
  }
  EXPECT_THAT(value_from_cbor(many).error().detail, HasSubstr("data items"));
}

TEST(Cbor, ReadsTypedArraysOfEveryKind) {
  struct {
    const char* hex;
    std::vector<double> numbers;
  } const cases[] = {
      {"d8404301ff02", {1, 255, 2}},
      {"d8484301ff02", {1, -1, 2}},
      {"d841420102", {258}},
      {"d845420102", {513}},
      {"d84d44feff0100", {-2, 1}},
      {"d84a44fffffffe", {-2}},
      {"d85042"
       "3c00",
       {1}},
      {"d854420044", {4}},
      {"d855480000c03f000000c0", {1.5, -2}},
      {"d85248"
       "3ff8000000000000",
       {1.5}},
      {"d84b48"
       "ffffffffffffffff",
       {-1}},
      {"d84348"
       "0000000000000100",
       {256}},
  };
  for (const auto& one : cases) {
    auto value = value_from_cbor(bytes_of(one.hex));
    ASSERT_TRUE(value) << one.hex << ": " << value.error().detail;
    std::vector<double> numbers;
    for (const auto& number : value->get_array()) numbers.push_back(number.to_number<double>());
    EXPECT_EQ(numbers, one.numbers) << one.hex;
  }
  EXPECT_FALSE(value_from_cbor(bytes_of("d84c4101")));                                // reserved
  EXPECT_FALSE(value_from_cbor(bytes_of("d8535000000000000000000000000000000000")));  // float128
}

TEST(Cbor, WritesWhatItReads) {
  Sample sample;
  sample.event_time = 1'769'860'800'123'456;
  sample.device = "press-1";
  sample.quality = Quality::bad;
  sample.set("temp", 81.5, "degC");
  sample.set("count", std::int64_t{-70'000});
  sample.set("big", std::int64_t{1} << 40);
  sample.set("state", std::string(300, 'x'));
  sample.set("on", true);
  sample.set("vib", std::vector<double>{1.5, -2.25});
  sample.tags.emplace_back("line", "A");
  std::string bytes;
  append_cbor_array_head(bytes, 2);
  append_cbor(bytes, sample);
  append_cbor(bytes, sample);
  auto read = samples_from_cbor(bytes, kDefaults);
  ASSERT_TRUE(read) << read.error().detail;
  ASSERT_EQ(read->size(), 2U);
  for (const Sample& one : *read) EXPECT_EQ(to_json(one), to_json(sample));
  sample.device = "no\xffutf8";
  bytes.clear();
  append_cbor(bytes, sample);
  EXPECT_EQ(samples_from_cbor(bytes, kDefaults)->front().device, "no?utf8");
}

TEST(Cbor, TakesSequencesAndNamesTheElement) {
  EXPECT_EQ(samples_from_cbor(bytes_of("a1616101a1616102"), kDefaults)->size(), 2U);
  EXPECT_THAT(samples_from_cbor(bytes_of("82a161610105"), kDefaults).error().detail, HasSubstr("element 1"));
  EXPECT_THAT(samples_from_cbor("", kDefaults).error().detail, HasSubstr("empty"));
}

TEST(LineProtocol, ReadsTagsFieldsAndTimes) {
  auto samples = samples_from_line_protocol(
      "# a comment\n\nweather,host=h,device=roof,line=A temp=21.5,rain=false,state=\"a \\\"b\\\", c=d\\n\",n=-3i,u=7u "
      "1769860800123456789\r\n  cpu,host=pc use=+1e2  1769860800  \nplain v=T",
      kDefaults);
  ASSERT_TRUE(samples) << samples.error().detail;
  ASSERT_EQ(samples->size(), 3U);
  const Sample& first = samples->front();
  EXPECT_EQ(first.device, "roof");
  EXPECT_EQ(first.event_time, 1'769'860'800'123'457);  // to the microsecond
  EXPECT_EQ(std::get<std::string>(first.find("state")->value), "a \"b\", c=d\\n");
  EXPECT_EQ(std::get<std::int64_t>(first.find("n")->value), -3);
  EXPECT_EQ(std::get<std::int64_t>(first.find("u")->value), 7);
  EXPECT_EQ(std::get<bool>(first.find("rain")->value), false);
  EXPECT_EQ(first.tags.front(), std::make_pair("measurement"s, "weather"s));
  EXPECT_EQ((*samples)[1].device, "pc");
  EXPECT_EQ((*samples)[1].event_time, 1'769'860'800'000'000);
  EXPECT_EQ((*samples)[2].device, "source");
  EXPECT_EQ((*samples)[2].event_time, kDefaults.now);
}

TEST(LineProtocol, UndoesEscapes) {
  auto samples = samples_from_line_protocol("my\\ m\\,x,ta\\=g=v\\ 1 f\\ g=\"two\nlines\"\nsecond a=", kDefaults);
  EXPECT_THAT(samples.error().detail, HasSubstr("line 3"));
  samples = samples_from_line_protocol("my\\ m\\,x,ta\\=g=v\\ 1 f\\ g=\"two\nlines\"", kDefaults);
  ASSERT_TRUE(samples) << samples.error().detail;
  EXPECT_EQ(samples->front().tags[0].second, "my m,x");
  EXPECT_EQ(samples->front().tags[1], std::make_pair("ta=g"s, "v 1"s));
  EXPECT_EQ(std::get<std::string>(samples->front().find("f g")->value), "two\nlines");
}

TEST(LineProtocol, NamesWhatIsWrong) {
  const std::pair<const char*, const char*> cases[] = {
      {"m", "fields are missing"},
      {",a=b c=1", "measurement"},
      {"m,a c=1", "name=value"},
      {"m a=1,", "name=value"},
      {"m a=x", "is no value"},
      {"m a=\"x", "closing quote"},
      {"m a=1 noon", "is no time"},
      {"m a=1 5 6", "behind the time"},
      {"m a=1 99999999999999999999", "is no time"},
      {"{\"a\":1}", "fields are missing"},
  };
  for (const auto& [text, why] : cases) {
    auto samples = samples_from_line_protocol(text, kDefaults);
    ASSERT_FALSE(samples) << text;
    EXPECT_THAT(samples.error().detail, testing::AllOf(HasSubstr("line 1"), HasSubstr(why))) << text;
  }
}

TEST(Payload, BoundsEveryFormat) {
  std::string lines;
  std::string json;
  std::string cbor = "\x9f";
  std::string csv = "a\n";
  for (std::size_t i = 0; i <= kSamplesPerMessageMax; ++i) {
    lines += "m a=1\n";
    json += "{\"a\":1}\n";
    cbor +=
        "\xa1\x61"
        "a\x01";
    csv += "1\n";
  }
  cbor += "\xff";
  EXPECT_THAT(samples_from(Format::line, lines, kDefaults).error().detail, HasSubstr("at most 10000"));
  EXPECT_THAT(samples_from(Format::ndjson, json, kDefaults).error().detail, HasSubstr("at most 10000"));
  EXPECT_THAT(samples_from(Format::cbor, cbor, kDefaults).error().detail, HasSubstr("at most 10000"));
  EXPECT_THAT(samples_from(Format::csv, csv + "1\n", kDefaults).error().detail, HasSubstr("at most 10000"));
}

TEST(Payload, KnowsMediaTypes) {
  EXPECT_EQ(format_of("Text/Plain; charset=utf-8"), Format::line);
  EXPECT_EQ(format_of(""), Format::json);
  EXPECT_EQ(format_of("application/vnd.x+json"), Format::json);
  EXPECT_EQ(format_of("application/vnd.x+cbor"), Format::cbor);
  EXPECT_EQ(format_of("image/png"), std::nullopt);
  EXPECT_EQ(format_named("line"), Format::line);
  EXPECT_EQ(format_named("auto"), std::nullopt);
}

}  // namespace
}  // namespace penstock::ingest
