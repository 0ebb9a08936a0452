#include "price/catalog.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <set>

#include "price/compiled_in.h"
#include "price/quantity.h"
#include "price/vendor.h"
#include "price/vendor_config.h"

namespace penstock::price {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::IsSupersetOf;

base::WallMicros day(std::string_view text) { return *parse_day(text); }
const base::WallMicros kNow = day("2026-11-22");

config::Document parse(std::string_view text) {
  auto document = config::Document::parse(text, "t.yaml");
  EXPECT_TRUE(document.has_value());
  return *document;
}

// The rate of plain input, by which the tests tell entries apart; -1 for an unknown price, -2 for no entry.
std::int64_t input_of(const Catalog& catalog, std::string_view provider, std::string_view vendor,
                      std::string_view model, base::WallMicros now = kNow) {
  const Entry* entry = catalog.find(provider, vendor, model);
  if (entry == nullptr) return -2;
  const Price* price = entry->at(now);
  return price == nullptr ? -1 : price->rates.input.value_or(-1);
}

TEST(CompiledInCatalog, ReadsWithoutAMistake) {
  config::Document document = parse(kCatalogText);
  auto catalog = Catalog::read_file(document);
  EXPECT_EQ(document.report(), "");
  EXPECT_EQ(catalog->entries().size(), Catalog::builtin()->entries().size());
}

TEST(CompiledInCatalog, PricesTheMainModelsOfTheMainVendors) {
  auto catalog = Catalog::builtin();
  std::vector<const Entry*> entries = catalog->entries();
  auto priced = std::ranges::count_if(entries, [](const Entry* entry) { return entry->at(kNow) != nullptr; });
  EXPECT_GE(priced, 120);
  for (const char* vendor : {"openai", "anthropic", "gemini", "mistral", "cohere", "deepseek", "xai", "groq",
                             "together", "fireworks", "bedrock", "azure", "perplexity", "moonshot", "voyage"}) {
    EXPECT_THAT(catalog->vendors(), Contains(vendor));
  }
  EXPECT_EQ(input_of(*catalog, "p", "openai", "gpt-4o"), 2'500'000);
  EXPECT_EQ(input_of(*catalog, "p", "anthropic", "claude-sonnet-4-5"), 3'000'000);
  EXPECT_EQ(input_of(*catalog, "p", "gemini", "gemini-2.5-pro"), 1'250'000);
}

// What no price list does, whatever the model.
TEST(CompiledInCatalog, HasNoImplausibleFigure) {
  std::set<std::string> names;
  std::vector<const Entry*> entries = Catalog::builtin()->entries();
  for (const Entry* entry : entries) {
    std::string name = entry->vendor + "/" + entry->model;
    EXPECT_TRUE(names.insert(name).second) << name << " stands twice";
    for (const Price& price : entry->prices) {
      const Rates& rates = price.rates;
      EXPECT_TRUE(parse_day(price.as_of).has_value()) << name;
      EXPECT_LE(day(price.as_of), kNow) << name;
      EXPECT_TRUE(price.by_token() || price.image || price.request) << name;
      if (!price.by_token()) continue;
      EXPECT_GT(*rates.input, 0) << name;
      // A million tokens of the dearest model there is cost a few hundred dollars.
      for (const RateField& field : kRateFields) EXPECT_LE((rates.*field.member).value_or(0), 1'000'000'000) << name;
      if (*rates.output != 0) EXPECT_GE(*rates.output, *rates.input) << name;
      if (rates.cached) EXPECT_LE(*rates.cached, *rates.input) << name;
      if (rates.cache_write) EXPECT_GE(*rates.cache_write, *rates.input) << name;
      if (rates.cache_write_hour) EXPECT_GE(*rates.cache_write_hour, *rates.input) << name;
      for (const LongContext& tier : price.long_context) {
        EXPECT_GE(tier.rates.input.value_or(*rates.input), *rates.input) << name;
        EXPECT_GE(tier.rates.output.value_or(*rates.output), *rates.output) << name;
        // Whatever rises with the input must not stay behind it.
        if (tier.rates.input && rates.cached) EXPECT_TRUE(tier.rates.cached) << name;
        if (tier.rates.input && rates.cache_write) EXPECT_TRUE(tier.rates.cache_write) << name;
      }
      if (price.context && price.output_max) EXPECT_LE(*price.output_max, *price.context) << name;
      EXPECT_LE(price.batch.value_or(50), 100) << name;
      EXPECT_GE(price.priority.value_or(100), 100) << name;
      EXPECT_GE(price.fast.value_or(100), 100) << name;
    }
  }
}

TEST(Catalog, GivesVersionsWithADateThePriceOfTheirBase) {
  auto catalog = Catalog::builtin();
  EXPECT_EQ(input_of(*catalog, "p", "openai", "gpt-4o-2024-11-20"), 2'500'000);
  EXPECT_EQ(input_of(*catalog, "p", "openai", "gpt-4o-2024-05-13"), 5'000'000) << "has a line of its own";
  EXPECT_EQ(input_of(*catalog, "p", "anthropic", "claude-sonnet-4-5-20250929"), 3'000'000);
  EXPECT_EQ(input_of(*catalog, "p", "openai", "gpt-4o-20241120"), -2) << "not OpenAI's way to write a date";
  EXPECT_EQ(input_of(*catalog, "p", "openai", "gpt-4o-2024-13-40"), -2) << "no date";
  EXPECT_EQ(input_of(*catalog, "p", "openai", "gpt-4o-turbo"), -2);
  EXPECT_EQ(input_of(*catalog, "p", "gemini", "gemini-2.5-pro-2026-01-01"), -2) << "no such rule there";
  EXPECT_EQ(undated("openai", "gpt-4o-2024-08-06"), "gpt-4o");
  EXPECT_EQ(undated("openai", "-2024-08-06"), "");
  EXPECT_EQ(undated("", "gpt-4o-2024-08-06"), "");
}

TEST(Catalog, KnowsOtherNames) {
  EXPECT_EQ(input_of(*Catalog::builtin(), "p", "anthropic", "claude-opus-4-1"), 15'000'000);
  EXPECT_EQ(input_of(*Catalog::builtin(), "p", "anthropic", "claude-opus-4-1-20250805"), 15'000'000);
}

TEST(Catalog, GivesNoCloudPriceWithoutAVendor) {
  EXPECT_EQ(input_of(*Catalog::builtin(), "openai", "", "gpt-4o"), -2);
  EXPECT_EQ(input_of(*Catalog::builtin(), "lab", vendor_of_host("127.0.0.1"), "deepseek-r1"), -2);
  EXPECT_EQ(input_of(*Catalog::builtin(), "p", "groq", "gpt-4o"), -2) << "another vendor's model";
}

TEST(Catalog, KnowsTheHostsOfVendors) {
  EXPECT_EQ(vendor_of_host("api.openai.com"), "openai");
  EXPECT_EQ(vendor_of_host("api.groq.com"), "groq");
  EXPECT_EQ(vendor_of_host("my-team.openai.azure.com"), "azure");
  EXPECT_EQ(vendor_of_host("bedrock-runtime.us-east-1.amazonaws.com"), "bedrock");
  EXPECT_EQ(vendor_of_host("bedrock-runtime.eu-central-1.amazonaws.com"), "") << "a region with prices of its own";
  EXPECT_EQ(vendor_of_host("localhost"), "");
  EXPECT_EQ(vendor_of_host("api.openai.com.example.org"), "");
  EXPECT_EQ(vendor_of_host("evil-api.openai.com"), "");
  EXPECT_EQ(vendor_of_host(""), "");
}

TEST(Catalog, TakesTheVendorThatTheProviderNames) {
  auto vendor_of = [](std::string_view provider, std::string_view host) {
    config::Document doc = parse(provider);
    config::Map map = doc.root().map();
    std::string vendor = read_vendor(map, host, *Catalog::builtin());
    map.done();
    return vendor + "|" + doc.report();
  };
  EXPECT_EQ(vendor_of("{}", "api.openai.com"), "openai|");
  EXPECT_EQ(vendor_of("{}", "10.1.2.3"), "|");
  EXPECT_EQ(vendor_of("catalog: groq", "proxy.example.org"), "groq|");
  EXPECT_EQ(vendor_of("catalog: none", "api.openai.com"), "|");
  EXPECT_THAT(
      vendor_of("catalog: opnai", "api.openai.com"),
      HasSubstr("t.yaml:1:10: catalog: the price catalog has no vendor 'opnai'; did you mean 'openai'?; it has "));
}

// Every host of the table sells something.
TEST(Catalog, HasPricesForEveryKnownHost) {
  std::vector<std::string> vendors = Catalog::builtin()->vendors();
  for (const char* host : {"api.mistral.ai", "api.cohere.com", "api.x.ai", "api.together.xyz", "api.fireworks.ai",
                           "api.perplexity.ai", "api.moonshot.ai", "api.cerebras.ai", "api.z.ai", "api.minimax.io",
                           "api.voyageai.com", "api.deepseek.com", "generativelanguage.googleapis.com"}) {
    EXPECT_THAT(vendors, Contains(std::string(vendor_of_host(host)))) << host;
  }
}

TEST(Catalog, PutsTheConfigurationFirst) {
  config::Document doc = parse(
      "models:\n"
      "  openai/gpt-4o: { input: 1USD/1M, output: 2USD/1M }\n"
      "  openai/o3: unknown\n"
      "  lab/*: { input: 0USD/1M, output: 0USD/1M }\n"
      "  \"*/special\": { input: 7USD/1M, output: 7USD/1M }\n"
      "  lab/dear: { input: 9USD/1M, output: 9USD/1M }\n");
  auto catalog = Catalog::read(doc.root());
  EXPECT_EQ(doc.report(), "");
  EXPECT_EQ(input_of(*catalog, "openai", "openai", "gpt-4o"), 1'000'000);
  EXPECT_EQ(input_of(*catalog, "openai", "openai", "gpt-4o-2024-11-20"), 1'000'000);
  EXPECT_EQ(input_of(*catalog, "second", "openai", "gpt-4o"), 2'500'000) << "another provider of that vendor";
  EXPECT_EQ(input_of(*catalog, "openai", "openai", "o3"), -1);
  EXPECT_EQ(input_of(*catalog, "lab", "", "org/llama-4"), 0);
  EXPECT_EQ(input_of(*catalog, "lab", "", "dear"), 9'000'000) << "exact names before patterns";
  EXPECT_EQ(input_of(*catalog, "lab", "", "special"), 0) << "patterns in their order";
  EXPECT_EQ(input_of(*catalog, "x", "", "special"), 7'000'000);
}

TEST(Catalog, ReadsAFileOfOnesOwn) {
  std::string path = testing::TempDir() + "/prices.yaml";
  std::ofstream(path) << "as_of: 2026-10-01\n"
                         "openai:\n  gpt-4o: { input: 2USD/1M, output: 8USD/1M, also: [ mine ] }\n"
                         "house:\n  \"big-*\": { input: 1USD/1M, output: 1USD/1M, as_of: 2026-11-01 }\n";
  config::Document doc = parse("file: " + path + "\nmodels: { a/b: { input: 3USD/1M, output: 3USD/1M } }\n");
  auto catalog = Catalog::read(doc.root());
  EXPECT_EQ(doc.report(), "");
  EXPECT_EQ(catalog->file(), path);
  EXPECT_EQ(input_of(*catalog, "p", "openai", "gpt-4o"), 2'000'000);
  EXPECT_EQ(input_of(*catalog, "p", "openai", "mine"), 2'000'000);
  EXPECT_EQ(input_of(*catalog, "p", "openai", "gpt-4.1"), 2'000'000) << "what the file does not name";
  EXPECT_EQ(input_of(*catalog, "p", "house", "big-one"), 1'000'000);
  EXPECT_EQ(catalog->find("p", "openai", "gpt-4o")->at(kNow)->as_of, "2026-10-01");
  EXPECT_EQ(catalog->find("p", "house", "big-x")->at(kNow)->as_of, "2026-11-01");
  EXPECT_THAT(catalog->vendors(), IsSupersetOf({"house", "openai"}));
  EXPECT_EQ(catalog->entries().size(), Catalog::builtin()->entries().size() + 2) << "gpt-4o replaces a line";
}

TEST(Catalog, ReportsMistakesOfTheFileWithTheirPlace) {
  std::string path = testing::TempDir() + "/bad-prices.yaml";
  std::ofstream(path) << "openai:\n  gpt-4o: { input: 2USD/1K, output: 8USD/1M }\n  gpt-4o-mini: [ 1 ]\n"
                         "other: 5\nas_of: soon\n";
  config::Document doc = parse("file: " + path + "\n");
  Catalog::read(doc.root());
  EXPECT_THAT(doc.report(), HasSubstr(path + ":2:20: openai.gpt-4o.input: '2USD/1K': prices are per million tokens"));
  EXPECT_THAT(doc.report(), HasSubstr(path + ":3:18: "));
  EXPECT_THAT(doc.report(), HasSubstr(path + ":4:8: other: expected a map"));
  EXPECT_THAT(doc.report(), HasSubstr(path + ":5:8: as_of: 'soon' is not a day"));
  config::Document missing = parse("file: /nowhere/prices.yaml\n");
  Catalog::read(missing.root());
  EXPECT_THAT(missing.report(), HasSubstr("t.yaml:1:7: file: "));
}

TEST(Catalog, ReportsNamesThatStandTwiceOrHaveNoProvider) {
  config::Document doc = parse("models:\n  gpt-4o: { input: 1USD/1M, output: 1USD/1M }\n  /x: unknown\nmodel: 1\n");
  Catalog::read(doc.root());
  EXPECT_THAT(doc.report(), HasSubstr("t.yaml:2:11: models.gpt-4o: a price is for provider/model"));
  EXPECT_THAT(doc.report(), HasSubstr("t.yaml:3:7: models./x: a price is for provider/model"));
  EXPECT_THAT(doc.report(), HasSubstr("unknown key 'model'; did you mean 'models'?"));
  config::Document file = parse("v:\n  a: { input: 1USD/1M, output: 1USD/1M, also: [ b ] }\n  b: unknown\n");
  Catalog::read_file(file);
  EXPECT_THAT(file.report(),
              HasSubstr("t.yaml:3:6: v.b: this model, or another name of it, has a price above already"));
}

TEST(Catalog, ChangesPricesOnTheirDay) {
  config::Document doc = parse(
      "models:\n"
      "  p/m:\n"
      "    - { from: 2026-01-01, input: 1USD/1M, output: 1USD/1M }\n"
      "    - { from: 2026-06-01, input: 2USD/1M, output: 2USD/1M }\n"
      "    - { from: 2027-01-01, input: 3USD/1M, output: 3USD/1M }\n");
  auto catalog = Catalog::read(doc.root());
  EXPECT_EQ(doc.report(), "");
  EXPECT_EQ(input_of(*catalog, "p", "", "m", day("2025-12-31")), -1);
  EXPECT_EQ(input_of(*catalog, "p", "", "m", day("2026-01-01")), 1'000'000);
  EXPECT_EQ(input_of(*catalog, "p", "", "m", day("2026-06-01") - 1), 1'000'000);
  EXPECT_EQ(input_of(*catalog, "p", "", "m", day("2026-06-01")), 2'000'000);
  EXPECT_EQ(input_of(*catalog, "p", "", "m", day("2030-01-01")), 3'000'000);
}

TEST(Catalog, IsTheCompiledInOneWithoutConfiguration) { EXPECT_EQ(Catalog::read({}), Catalog::builtin()); }

}  // namespace
}  // namespace penstock::price
