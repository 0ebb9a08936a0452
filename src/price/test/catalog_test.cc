#include "price/catalog.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>

#include "price/catalog_text.h"
#include "price/quantity.h"
#include "price/vendor.h"

namespace penstock::price {
namespace {

constexpr base::WallMicros kNow = 1'795'000'000'000'000;  // 2026-11-18

config::Document parse(std::string_view text) {
  auto document = config::Document::parse(text, "t.yaml");
  EXPECT_TRUE(document.has_value());
  return *document;
}

const Price* price_of(const Catalog& catalog, std::string_view vendor, std::string_view model) {
  const Entry* entry = catalog.find("any", vendor, model);
  return entry == nullptr ? nullptr : entry->at(kNow);
}

TEST(CompiledInCatalog, ReadsWithoutAMistake) {
  auto document = config::Document::parse(kCatalogText, "catalog.yaml");
  ASSERT_TRUE(document.has_value()) << document.error().detail;
  auto catalog = Catalog::read_file(*document);
  EXPECT_EQ(document->report(), "");
  EXPECT_EQ(catalog->entries().size(), Catalog::builtin()->entries().size());
}

TEST(CompiledInCatalog, KnowsTheMainVendors) {
  auto catalog = Catalog::builtin();
  auto priced =
      std::ranges::count_if(catalog->entries(), [](const Entry* entry) { return entry->at(kNow) != nullptr; });
  EXPECT_GE(priced, 120);
  for (const char* vendor : {"openai", "anthropic", "gemini", "mistral", "xai", "groq", "together", "bedrock"}) {
    EXPECT_TRUE(catalog->has_vendor(vendor)) << vendor;
  }
}

}  // namespace
}  // namespace penstock::price
