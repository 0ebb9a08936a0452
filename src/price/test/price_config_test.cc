#include "price/price_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "price/quantity.h"

namespace penstock::price {
namespace {

using testing::HasSubstr;

struct Parsed {
  Price price;
  std::string report;
};

Parsed parse(std::string_view text) {
  auto document = config::Document::parse(text, "t.yaml");
  if (!document) return {{}, document.error().detail};
  Parsed parsed;
  parsed.price = parse_price(document->root());
  parsed.report = document->report();
  return parsed;
}

TEST(ParsePrice, ReadsEveryFigure) {
  Parsed parsed = parse(
      "{ input: 2.50USD/1M, cached: 1.25USD/1M, cache_write: 3.125USD/1M, cache_write_hour: 5USD/1M, output: "
      "10USD/1M,\n"
      "  reasoning: 11USD/1M, audio_input: 40USD/1M, audio_output: 80USD/1M, image_input: 4USD/1M,\n"
      "  image_output: 30USD/1M, request: 0.012USD, image: 0.04USD, batch: 50%, flex: 60%, priority: 170%, fast: "
      "200%,\n"
      "  context: 128000, output_max: 16384, as_of: 2026-01-31, from: 2026-02-01,\n"
      "  long_context: [ { above: 200000, input: 5USD/1M }, { above: 500000, input: 6USD/1M, output: 20USD/1M } ] }\n");
  EXPECT_EQ(parsed.report, "");
  const Price& price = parsed.price;
  Rates rates = {.input = 2'500'000,
                 .cached = 1'250'000,
                 .cache_write = 3'125'000,
                 .cache_write_hour = 5'000'000,
                 .output = 10'000'000,
                 .reasoning = 11'000'000,
                 .audio_input = 40'000'000,
                 .audio_output = 80'000'000,
                 .image_input = 4'000'000,
                 .image_output = 30'000'000};
  EXPECT_EQ(price.rates, rates);
  EXPECT_EQ(price.request, 12'000);
  EXPECT_EQ(price.image, 40'000);
  EXPECT_EQ(price.batch, 50);
  EXPECT_EQ(price.flex, 60);
  EXPECT_EQ(price.priority, 170);
  EXPECT_EQ(price.fast, 200);
  EXPECT_EQ(price.context, 128'000);
  EXPECT_EQ(price.output_max, 16'384);
  EXPECT_EQ(price.as_of, "2026-01-31");
  EXPECT_EQ(price.from, 1'769'904'000'000'000);
  std::vector<LongContext> tiers = {{.above = 200'000, .rates = {.input = 5'000'000}},
                                    {.above = 500'000, .rates = {.input = 6'000'000, .output = 20'000'000}}};
  EXPECT_EQ(price.long_context, tiers);
}

TEST(ParsePrice, LeavesWhatIsNotSaidUnknown) {
  Parsed parsed = parse("{ input: 0.15USD/1M, output: 0.60USD/1M }");
  EXPECT_EQ(parsed.report, "");
  Price expected;
  expected.rates = {.input = 150'000, .output = 600'000};
  EXPECT_EQ(parsed.price, expected);
}

struct Mistake {
  std::string_view text;
  std::string_view report;
};

TEST(ParsePrice, SaysWhatIsWrongAndWhatToWrite) {
  std::vector<Mistake> mistakes = {
      {"{ input: 2.50, output: 10USD/1M }",
       "t.yaml:1:10: input: '2.50' is not a price of tokens; write what a million tokens cost, like 2.50USD/1M"},
      {"{ input: 5EUR/1M, output: 10USD/1M }", "t.yaml:1:10: input: '5EUR/1M' is not a price of tokens"},
      {"{ input: 5USD, output: 10USD/1M }", "t.yaml:1:10: input: '5USD' is not a price of tokens"},
      {"{ input: 5USD/1K, output: 10USD/1M }",
       "input: '5USD/1K': prices are per million tokens here; write 5000USD/1M"},
      {"{ input: 0.0000025USD/token, output: 10USD/1M }", "write 2.5USD/1M"},
      {"{ input: 0.00000015USD, output: 10USD/1M }",
       "'0.00000015USD' looks like the price of one token; write what a million cost: 0.15USD/1M"},
      {"{ input: -1USD/1M, output: 10USD/1M }", "'-1USD/1M' is negative; a price is 0USD/1M or more"},
      {"{ input: 10000.01USD/1M, output: 10USD/1M }", "is more than 10000USD/1M; check the unit"},
      {"{ input: 99999999999999999999999USD/1M, output: 10USD/1M }", "is not a price of tokens"},
      {"{ input: 0.0000001USD/1M, output: 10USD/1M }", "has more than six digits after the point"},
      {"{ input: nanUSD/1M, output: 10USD/1M }", "is not a price of tokens"},
      {"{ input: 1e3USD/1M, output: 10USD/1M }", "is not a price of tokens"},
      {"{ input: 1.USD/1M, output: 10USD/1M }", "is not a price of tokens"},
      {"{ input: '', output: 10USD/1M }", "'' is not a price of tokens"},
      {"{ input: [ 1 ], output: 10USD/1M }", "expected a single value"},
      {"{ input: 1USD/1M }", "t.yaml:1:1: `output` is missing beside `input`; write 0USD/1M when it costs nothing"},
      {"{ output: 1USD/1M }", "`input` is missing beside `output`"},
      {"{}", "a price names input and output, like"},
      {"{ input: 1USD/1M, cached: 2USD/1M, output: 3USD/1M }",
       "t.yaml:1:27: cached: reading from the cache costs more"},
      {"{ input: 1USD/1M, output: 3USD/1M, chached: 1USD/1M }", "unknown key 'chached'; did you mean 'cached'?"},
      {"{ image: 0.04 }", "'0.04' is not an amount of money; write 0.04USD"},
      {"{ image: 2000USD }", "'2000USD' is more than 1000USD; check the unit"},
      {"{ input: 1USD/1M, output: 3USD/1M, batch: 0.5 }", "'0.5' is not a share of the price"},
      {"{ input: 1USD/1M, output: 3USD/1M, batch: 0% }", "'0%' is not a share of the price"},
      {"{ input: 1USD/1M, output: 3USD/1M, priority: 9999999999999999999999% }", "is not a share of the price"},
      {"{ input: 1USD/1M, output: 3USD/1M, context: 0 }", "context: 0 is out of range"},
      {"{ input: 1USD/1M, output: 3USD/1M, as_of: 31.1.2026 }", "'31.1.2026' is not a day; write it like 2026-01-31"},
      {"{ input: 1USD/1M, output: 3USD/1M, as_of: 2026-02-30 }", "'2026-02-30' is not a day"},
      {"{ input: 1USD/1M, output: 3USD/1M, long_context: { input: 2USD/1M } }", "'above' is missing"},
      {"{ input: 1USD/1M, output: 3USD/1M, long_context: { above: 5 } }", "a long context has prices of its own"},
      {"{ input: 1USD/1M, output: 3USD/1M, long_context: [ { above: 5, input: 2USD/1M }, { above: 5, input: 3USD/1M } "
       "] }",
       "`above` must rise from tier to tier"},
      {"7", "expected a map"},
  };
  for (const Mistake& mistake : mistakes) {
    EXPECT_THAT(parse(mistake.text).report, HasSubstr(std::string(mistake.report))) << mistake.text;
  }
}

TEST(ParsePrices, WantsRisingDays) {
  auto document = config::Document::parse(
      "[ { from: 2026-02-01, input: 1USD/1M, output: 1USD/1M }, { input: 1USD/1M, output: 1USD/1M } ]", "t.yaml");
  ASSERT_TRUE(document.has_value());
  parse_prices(document->root());
  EXPECT_THAT(document->report(), HasSubstr("t.yaml:1:58: [1]: `from` must rise from price to price"));
}

TEST(ParsePrices, TakesUnknownForNone) {
  auto document = config::Document::parse("unknown", "t.yaml");
  ASSERT_TRUE(document.has_value());
  EXPECT_TRUE(parse_prices(document->root()).empty());
  EXPECT_EQ(document->report(), "");
  auto slip = config::Document::parse("free", "t.yaml");
  ASSERT_TRUE(slip.has_value());
  parse_prices(slip->root());
  EXPECT_THAT(slip->report(), HasSubstr("or unknown"));
}

TEST(Quantity, ReadsAndWritesExactly) {
  for (std::string_view text : {"0USD/1M", "0.15USD/1M", "2.5USD/1M", "0.000001USD/1M", "10000USD/1M", "3.125USD/1M"}) {
    auto rate = parse_rate(text);
    ASSERT_TRUE(rate.has_value()) << text;
    EXPECT_EQ(format_rate(*rate), text);
  }
  EXPECT_EQ(*parse_rate("2.50 USD/1M"), 2'500'000);
  EXPECT_EQ(*parse_rate("0.1000000USD/1M"), 100'000);
  EXPECT_EQ(*parse_rate("0.07USD/1M"), 70'000);
  EXPECT_EQ(format_amount(*parse_amount("0.04USD")), "0.04USD");
}

}  // namespace
}  // namespace penstock::price
