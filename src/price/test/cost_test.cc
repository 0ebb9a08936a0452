#include "price/cost.h"

#include <gtest/gtest.h>

#include <limits>
#include <random>

namespace penstock::price {
namespace {

constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();

// Every kind at a rate of its own: one micro-dollar for a number of tokens that tells which it was.
Price every_kind() {
  Price price;
  price.rates = {.input = 1'000'000,
                 .cached = 100'000,
                 .cache_write = 1'250'000,
                 .cache_write_hour = 2'000'000,
                 .output = 10'000'000,
                 .reasoning = 20'000'000,
                 .audio_input = 40'000'000,
                 .audio_output = 80'000'000};
  return price;
}

chat::Usage known(std::int64_t input, std::int64_t output) { return {.known = true, .input = input, .output = output}; }

struct Row {
  const char* what;
  chat::Usage usage;
  std::int64_t micros;
};

TEST(Cost, PricesEachKindOfTokenOnce) {
  std::vector<Row> rows = {
      {"nothing", known(0, 0), 0},
      {"plain", known(1000, 100), 1000 + 1000},
      {"cached", {.known = true, .input = 1000, .cached = 400}, 600 + 40},
      {"cache write", {.known = true, .input = 1000, .cache_write = 400}, 600 + 500},
      {"cache write, hour", {.known = true, .input = 1000, .cache_write = 400, .cache_write_hour = 400}, 600 + 800},
      {"cache write, both",
       {.known = true, .input = 1000, .cache_write = 400, .cache_write_hour = 100},
       600 + 375 + 200},
      {"reasoning", {.known = true, .output = 100, .reasoning = 60}, 400 + 1200},
      {"audio in", {.known = true, .input = 1000, .audio_input = 100}, 900 + 4000},
      {"audio out", {.known = true, .output = 100, .audio_output = 50}, 500 + 4000},
      {"everything",
       {.known = true,
        .input = 1000,
        .output = 100,
        .cached = 100,
        .cache_write = 200,
        .cache_write_hour = 100,
        .reasoning = 10,
        .audio_input = 100,
        .audio_output = 20},
       600 + 10 + 125 + 200 + 4000 + 700 + 200 + 1600},
  };
  for (const Row& row : rows) EXPECT_EQ(cost(every_kind(), row.usage), row.micros) << row.what;
}

TEST(Cost, GivesTokensThatTwoKindsClaimToTheDearerOne) {
  // Cached audio is reported in both: 1000 tokens are never more than 1000.
  EXPECT_EQ(cost(every_kind(), {.known = true, .input = 1000, .cached = 800, .audio_input = 500}), 500 * 40 + 50);
  EXPECT_EQ(cost(every_kind(), {.known = true, .input = 100, .cached = 5000}), 10);
  EXPECT_EQ(cost(every_kind(), {.known = true, .input = 100, .cache_write = 10, .cache_write_hour = 900}), 90 + 20);
}

TEST(Cost, TakesCountsBelowZeroForZero) {
  EXPECT_EQ(cost(every_kind(), {.known = true, .input = -5, .output = -7, .cached = -1, .reasoning = -9}), 0);
  EXPECT_EQ(cost(every_kind(), {.known = true, .input = 10, .cached = -1}, {.images = -3}), 10);
}

TEST(Cost, RoundsUpOnceToAWholeMicroDollar) {
  Price price;
  price.rates = {.input = 150'000, .output = 600'000};
  EXPECT_EQ(cost(price, known(1, 0)), 1);
  EXPECT_EQ(cost(price, known(6, 0)), 1);
  EXPECT_EQ(cost(price, known(7, 0)), 2);
  // 0.15 + 0.6: two roundings would make 2 of it.
  EXPECT_EQ(cost(price, known(1, 1)), 1);
  EXPECT_EQ(cost(price, known(1, 1), {.service = Service::batch}), 1);
  price.batch = 50;
  EXPECT_EQ(cost(price, known(2, 2), {.service = Service::batch}), 1);
}

TEST(Cost, SaysNothingWhenAFigureThatIsNeededIsUnknown) {
  Price price;
  price.rates = {.input = 1'000'000, .output = 2'000'000};
  EXPECT_EQ(cost(price, {}), std::nullopt);
  EXPECT_EQ(cost(price, {.known = true, .output = 5, .input_known = false}), std::nullopt);
  EXPECT_EQ(cost(price, {.known = true, .input = 10, .cache_write = 1}), std::nullopt);
  EXPECT_EQ(cost(price, {.known = true, .input = 10, .cache_write = 1, .cache_write_hour = 1}), std::nullopt);
  EXPECT_EQ(cost(price, {.known = true, .input = 10, .audio_input = 1}), std::nullopt);
  EXPECT_EQ(cost(price, {.known = true, .output = 10, .audio_output = 1}), std::nullopt);
  EXPECT_EQ(cost(price, known(10, 0), {.service = Service::priority}), std::nullopt);
  EXPECT_EQ(cost(price, known(10, 0), {.service = Service::fast}), std::nullopt);
  EXPECT_EQ(cost({}, known(0, 0)), std::nullopt) << "a price without any figure is unknown, not free";
  price.rates.output = {};
  EXPECT_EQ(cost(price, known(10, 0)), 10) << "vectors have no output";
  EXPECT_EQ(cost(price, known(10, 1)), std::nullopt);
}

TEST(Cost, TakesTheSafeSideOfFiguresThatMayBeMissing) {
  Price price;
  price.rates = {.input = 1'000'000, .output = 2'000'000};
  EXPECT_EQ(cost(price, {.known = true, .input = 10, .cached = 10}), 10) << "cached as input";
  EXPECT_EQ(cost(price, {.known = true, .output = 10, .reasoning = 10}), 20) << "reasoning as output";
  EXPECT_EQ(cost(price, known(10, 10), {.service = Service::flex}), 30) << "flex as standard";
  price.rates.image_output = 30'000'000;
  EXPECT_EQ(cost(price, known(0, 10)), 300) << "the output may be an image";
}

TEST(Cost, AppliesTheTierOfTheWholeInput) {
  Price price;
  price.rates = {.input = 1'000'000, .cached = 100'000, .output = 10'000'000};
  price.long_context = {{.above = 200, .rates = {.input = 2'000'000, .output = 15'000'000}},
                        {.above = 1000, .rates = {.input = 3'000'000, .cached = 300'000}}};
  EXPECT_EQ(cost(price, known(200, 1)), 200 + 10);
  EXPECT_EQ(cost(price, known(201, 1)), 402 + 15);
  EXPECT_EQ(cost(price, {.known = true, .input = 210, .output = 1, .cached = 200}), 20 + 20 + 15);
  EXPECT_EQ(cost(price, {.known = true, .input = 1001, .output = 1, .cached = 1000}), 3 + 300 + 15);
}

TEST(Cost, AddsWhatACallAndItsImagesCost) {
  Price image;
  image.image = 40'000;
  EXPECT_EQ(cost(image, {}, {.images = 3}), 120'000);
  Price search;
  search.rates = {.input = 1'000'000, .output = 1'000'000};
  search.request = 12'000;
  EXPECT_EQ(cost(search, known(100, 100)), 12'200);
}

TEST(Cost, ScalesTheWholeByTheService) {
  Price price;
  price.rates = {.input = 1'000'000, .output = 1'000'000};
  price.batch = 50;
  price.flex = 60;
  price.priority = 170;
  EXPECT_EQ(cost(price, known(100, 0), {.service = Service::batch}), 50);
  EXPECT_EQ(cost(price, known(100, 0), {.service = Service::flex}), 60);
  EXPECT_EQ(cost(price, known(100, 0), {.service = Service::priority}), 170);
  price.fast = 200;
  EXPECT_EQ(cost(price, known(100, 0), {.service = Service::fast}), 200);
  EXPECT_EQ(service_of("flex"), Service::flex);
  EXPECT_EQ(service_of("fast"), Service::fast);
  EXPECT_EQ(service_of(""), Service::standard);
  EXPECT_EQ(service_of("standard_only"), Service::standard);
  EXPECT_EQ(service_of("gold"), std::nullopt);
}

TEST(Cost, HoldsWithAbsurdCounts) {
  Price price;
  price.rates = {.input = 10'000'000'000, .output = 10'000'000'000};
  price.priority = 1000;
  EXPECT_EQ(cost(price, known(1'000'000'000'000, 0)), 10'000'000'000'000'000);
  EXPECT_EQ(cost(price, known(kMost, kMost), {.images = kMost, .service = Service::priority}), kMost);
  price.image = 1'000'000'000;
  EXPECT_EQ(cost(price, known(1, 0), {.images = kMost, .service = Service::priority}), kMost);
  EXPECT_EQ(cost(every_kind(), {.known = true,
                                .input = kMost,
                                .cached = kMost,
                                .cache_write = kMost,
                                .cache_write_hour = kMost,
                                .audio_input = kMost}),
            kMost);
  EXPECT_EQ(reserve_cost(price, {.input = kMost, .output = kMost}), kMost);
}

TEST(ReserveCost, TakesTheDearestKindThatMayOccur) {
  Price price = every_kind();
  EXPECT_EQ(reserve_cost(price, {.input = 100, .output = 10}), 4000 + 800);
  EXPECT_EQ(reserve_cost(price, {.input = 100, .output = 10, .audio_input = false, .audio_output = false}), 200 + 200);
  EXPECT_EQ(reserve_cost(price, {.input = 100, .output = 0, .cache_write = false, .audio_input = false}), 100);
  price.rates.reasoning = {};
  EXPECT_EQ(reserve_cost(price, {.output = 10, .audio_output = false}), 100);
}

TEST(ReserveCost, SaysNothingWhenInputOrOutputIsUnknown) {
  Price price;
  price.rates = {.input = 1'000'000};
  EXPECT_EQ(reserve_cost(price, {.input = 10}), 10);
  EXPECT_EQ(reserve_cost(price, {.input = 10, .output = 1}), std::nullopt);
  EXPECT_EQ(reserve_cost(price, {.input = 10, .extras = {.service = Service::priority}}), std::nullopt);
  EXPECT_EQ(reserve_cost({}, {.input = 10, .output = 10}), std::nullopt);
}

// The dearest tier, although the call may turn out shorter than it was counted.
TEST(ReserveCost, CoversEveryTierBelowTheInput) {
  Price price;
  price.rates = {.input = 1'000'000, .output = 10'000'000};
  price.long_context = {{.above = 200, .rates = {.input = 2'000'000, .output = 1'000'000}}};
  EXPECT_EQ(reserve_cost(price, {.input = 200, .output = 100}), 200 + 1000);
  EXPECT_EQ(reserve_cost(price, {.input = 300, .output = 1}), 601);
  EXPECT_EQ(reserve_cost(price, {.input = 300, .output = 100}), 300 + 1000);
}

// The exact model: each token priced on its own, in units of a trillionth of a dollar and a percent, rounded at the
// end.
class TokenByToken {
 public:
  void add(std::int64_t tokens, std::int64_t rate) {
    for (std::int64_t i = 0; i < tokens; ++i) sum_ += static_cast<unsigned __int128>(rate) * 100;
  }
  std::int64_t micros() const {
    unsigned __int128 unit = 100'000'000;
    return static_cast<std::int64_t>(sum_ / unit + (sum_ % unit == 0 ? 0 : 1));
  }

 private:
  unsigned __int128 sum_ = 0;
};

TEST(Cost, AgreesWithTokensPricedOneByOne) {
  std::mt19937_64 random(20260101);
  auto below = [&](std::int64_t most) {
    return static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(most + 1));
  };
  for (int round = 0; round < 3000; ++round) {
    Price price;
    for (const RateField& field : kRateFields) price.rates.*field.member = below(100'000'000);
    price.rates.image_input = price.rates.image_output = {};
    std::int64_t cached = below(50);
    std::int64_t minutes = below(50);
    std::int64_t hour = below(50);
    std::int64_t audio = below(50);
    std::int64_t text = below(50);
    std::int64_t reasoning = below(50);
    std::int64_t spoken = below(50);
    std::int64_t words = below(50);
    TokenByToken exact;
    exact.add(text, *price.rates.input);
    exact.add(cached, *price.rates.cached);
    exact.add(minutes, *price.rates.cache_write);
    exact.add(hour, *price.rates.cache_write_hour);
    exact.add(audio, *price.rates.audio_input);
    exact.add(words, *price.rates.output);
    exact.add(reasoning, *price.rates.reasoning);
    exact.add(spoken, *price.rates.audio_output);
    chat::Usage usage{.known = true,
                      .input = text + cached + minutes + hour + audio,
                      .output = words + reasoning + spoken,
                      .cached = cached,
                      .cache_write = minutes + hour,
                      .cache_write_hour = hour,
                      .reasoning = reasoning,
                      .audio_input = audio,
                      .audio_output = spoken};
    auto real = cost(price, usage);
    ASSERT_EQ(real, exact.micros()) << "round " << round;
    // And what was held before always covers it.
    auto held = reserve_cost(price, {.input = usage.input + below(3), .output = usage.output + below(3)});
    ASSERT_GE(held, real) << "round " << round;
  }
}

// Whatever a provider reports, also kinds that overlap or exceed the whole, and whichever tier it falls in: what was
// held for at least that much input and output covers it.
TEST(ReserveCost, CoversEveryUsageWithinTheAsk) {
  std::mt19937_64 random(7);
  auto below = [&](std::int64_t most) {
    return static_cast<std::int64_t>(random() % static_cast<std::uint64_t>(most + 1));
  };
  for (int round = 0; round < 20000; ++round) {
    Price price;
    for (const RateField& field : kRateFields) price.rates.*field.member = below(100'000'000);
    for (std::int64_t above = 100; above <= below(400); above += 100) {
      LongContext tier{.above = above};
      for (const RateField& field : kRateFields) {
        if (below(1) == 1) tier.rates.*field.member = below(200'000'000);
      }
      price.long_context.push_back(tier);
    }
    price.request = below(100);
    price.priority = 100 + below(100);
    chat::Usage usage{.known = true,
                      .input = below(500),
                      .output = below(500),
                      .cached = below(600),
                      .cache_write = below(300),
                      .cache_write_hour = below(300),
                      .reasoning = below(300),
                      .audio_input = below(300),
                      .audio_output = below(300)};
    Extras extras{.service = below(1) == 0 ? Service::standard : Service::priority};
    auto held =
        reserve_cost(price, {.input = usage.input + below(200), .output = usage.output + below(200), .extras = extras});
    auto spent = cost(price, usage, extras);
    ASSERT_TRUE(held && spent);
    ASSERT_GE(*held, *spent) << "round " << round;
  }
}

}  // namespace
}  // namespace penstock::price
