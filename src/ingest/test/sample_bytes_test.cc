#include "ingest/sample_bytes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <limits>
#include <random>

namespace penstock::ingest {
namespace {

using testing::HasSubstr;

bool same(double a, double b) { return std::bit_cast<std::uint64_t>(a) == std::bit_cast<std::uint64_t>(b); }

bool same(const Value& a, const Value& b) {
  if (a.index() != b.index()) return false;
  if (const auto* number = std::get_if<double>(&a)) return same(*number, std::get<double>(b));
  if (const auto* array = std::get_if<std::vector<double>>(&a)) {
    return std::ranges::equal(*array, std::get<std::vector<double>>(b), [](double x, double y) { return same(x, y); });
  }
  return a == b;
}

bool same(const Sample& a, const Sample& b) {
  const auto fields = [](const Field& x, const Field& y) {
    return x.name == y.name && x.unit == y.unit && same(x.value, y.value);
  };
  const auto words = [](const AlarmChange& x) {
    return std::tie(x.pipeline, x.name, x.device, x.raised, x.at, x.why, x.severity);
  };
  if ((a.alarm == nullptr) != (b.alarm == nullptr)) return false;
  if (a.alarm && words(*a.alarm) != words(*b.alarm)) return false;
  const auto origin = [](const Sample& x) { return x.origin ? *x.origin : std::string("none"); };
  return a.sequence == b.sequence && origin(a) == origin(b) && a.event_time == b.event_time &&
         a.ingest_time == b.ingest_time && a.device == b.device && a.quality == b.quality && a.priority == b.priority &&
         a.tags == b.tags && std::ranges::equal(a.fields, b.fields, fields);
}

class Maker {
 public:
  explicit Maker(unsigned seed) : random_(seed) {}

  Sample sample() {
    Sample made;
    made.event_time = wide();
    made.ingest_time = pick(3) == 0 ? wide() : made.event_time + pick(1'000'000);
    made.device = text();
    made.quality = static_cast<Quality>(pick(3));
    made.priority = static_cast<Priority>(pick(3));
    for (int i = pick(6); i > 0; --i) made.fields.push_back({text(), value(), pick(2) == 0 ? "" : text()});
    for (int i = pick(4); i > 0; --i) made.tags.emplace_back(text(), text());
    if (pick(4) == 0) {
      made.alarm =
          std::make_shared<AlarmChange>(AlarmChange{text(), text(), text(), pick(2) == 0, wide(), text(), "critical"});
    }
    if (pick(3) == 0) {
      made.sequence = 1 + (std::uint64_t{random_()} << static_cast<unsigned>(pick(32)));
      made.origin = std::make_shared<const std::string>(text());
    }
    return made;
  }

  int pick(int below) { return static_cast<int>(random_() % static_cast<unsigned>(below)); }

 private:
  std::int64_t wide() { return static_cast<std::int64_t>((std::uint64_t{random_()} << 32U | random_()) >> pick(64)); }
  double number() {
    static constexpr double kOdd[] = {0,
                                      -0.0,
                                      1e308,
                                      std::numeric_limits<double>::denorm_min(),
                                      std::numeric_limits<double>::infinity(),
                                      std::numeric_limits<double>::quiet_NaN()};
    return pick(3) == 0 ? kOdd[pick(6)] : std::bit_cast<double>(wide());
  }
  std::string text() {
    std::string made;
    for (int i = pick(20) * pick(20); i > 0; --i) made += static_cast<char>(pick(256));
    return made;
  }
  Value value() {
    switch (pick(5)) {
      case 0: return pick(2) == 0;
      case 1: return wide();
      case 2: return number();
      case 3: return text();
      default: break;
    }
    std::vector<double> numbers;
    for (int i = pick(300); i > 0; --i) numbers.push_back(number());
    return numbers;
  }

  std::mt19937 random_;
};

TEST(SampleBytes, AnySampleComesBackWhole) {
  for (unsigned seed = 0; seed < 3'000; ++seed) {
    const Sample before = Maker(seed).sample();
    const auto after = sample_from_bytes(to_bytes(before));
    ASSERT_TRUE(after) << "seed " << seed << ": " << after.error().detail;
    ASSERT_TRUE(same(before, *after)) << "seed " << seed;
  }
}

TEST(SampleBytes, EveryCutIsNoticed) {
  for (unsigned seed = 0; seed < 30; ++seed) {
    const std::string bytes = to_bytes(Maker(seed).sample());
    for (std::size_t size = 0; size < bytes.size(); ++size) {
      EXPECT_FALSE(sample_from_bytes(std::string_view(bytes).substr(0, size))) << "seed " << seed << " at " << size;
    }
    EXPECT_FALSE(sample_from_bytes(bytes + "x"));
  }
}

TEST(SampleBytes, FlippedBitsNeverCrash) {
  Maker maker(1);
  for (int round = 0; round < 20'000; ++round) {
    std::string bytes = to_bytes(Maker(static_cast<unsigned>(round % 50)).sample());
    bytes[static_cast<std::size_t>(maker.pick(static_cast<int>(bytes.size())))] ^=
        static_cast<char>(1 << maker.pick(8));
    const auto sample = sample_from_bytes(bytes);
    if (!sample) EXPECT_FALSE(sample.error().detail.empty());
  }
}

TEST(SampleBytes, CountsBeyondTheBytesTakeNoMemory) {
  std::string bytes = to_bytes(Sample{});
  bytes.resize(bytes.size() - 4);  // fields, tags, alarm, name
  bytes += "\xff\xff\xff\xff\xff\xff\xff\x7f";
  EXPECT_FALSE(sample_from_bytes(bytes));
}

TEST(SampleBytes, ALaterFormIsRefusedByName) {
  const auto later = sample_from_bytes("\x03whatever");
  ASSERT_FALSE(later);
  EXPECT_EQ(later.error().code, Errc::unimplemented);
  EXPECT_THAT(later.error().detail, HasSubstr("form 3"));
}

TEST(SampleBytes, TheFirstFormIsReadAndHasNoName) {
  // 10 µs, arrived 5 µs later, "d", uncertain and normal, n = 2 "V", line A, no alarm
  const std::string kept(
      "\x01\x14\x0a\x01"
      "d\x11\x01\x01n\x02\x04\x01V\x01\x04line\x01"
      "A\x00",
      22);
  const auto sample = sample_from_bytes(kept);
  ASSERT_TRUE(sample) << sample.error().detail;
  EXPECT_EQ(sample->event_time, 10);
  EXPECT_EQ(sample->ingest_time, 15);
  EXPECT_EQ(sample->device, "d");
  EXPECT_EQ(std::get<std::int64_t>(sample->find("n")->value), 2);
  EXPECT_EQ(sample->tags.at(0).second, "A");
  EXPECT_EQ(sample->sequence, 0U);
}

}  // namespace
}  // namespace penstock::ingest
