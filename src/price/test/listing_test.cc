#include "price/listing.h"

#include <gtest/gtest.h>

#include "price/quantity.h"

namespace penstock::price {
namespace {

const base::WallMicros kNow = *parse_day("2026-11-22");

std::shared_ptr<const Catalog> catalog() {
  auto document = config::Document::parse(
      "as_of: 2026-11-01\n"
      "b:\n"
      "  two: { input: 3USD/1M, cached: 0.3USD/1M, cache_write: 3.75USD/1M, output: 15USD/1M, batch: 50%,\n"
      "         context: 200000, also: [ zwei ], long_context: { above: 200000, input: 6USD/1M, output: 22.5USD/1M } "
      "}\n"
      "  one: unknown\n"
      "a:\n"
      "  three:\n"
      "    - { input: 1USD/1M, output: 2USD/1M }\n"
      "    - { from: 2027-01-01, input: 2USD/1M, output: 4USD/1M, as_of: 2026-11-02 }\n",
      "t.yaml");
  EXPECT_TRUE(document.has_value());
  auto read = Catalog::read_file(*document);
  EXPECT_EQ(document->report(), "");
  return read;
}

std::string json_of(const Entry& entry) {
  std::string text;
  json::Writer out(text);
  write_json(out, entry, kNow);
  return text;
}

TEST(Listing, ShowsARowForAModel) {
  auto read = catalog();
  Row row = row_of(*read->find("", "b", "two"), kNow);
  EXPECT_EQ(row.vendor, "b");
  EXPECT_EQ(row.model, "two");
  EXPECT_EQ(row.input, "3USD/1M");
  EXPECT_EQ(row.cached, "0.3USD/1M");
  EXPECT_EQ(row.output, "15USD/1M");
  EXPECT_EQ(row.more,
            "cache_write 3.75USD/1M; above 200000 tokens input 6USD/1M, output 22.5USD/1M; batch 50%; context 200000");
  EXPECT_EQ(row.as_of, "2026-11-01");
  EXPECT_EQ(row.source, "file");
}

TEST(Listing, LeavesUnknownFiguresEmpty) {
  auto read = catalog();
  Row row = row_of(*read->find("", "b", "one"), kNow);
  EXPECT_EQ(row.model, "one");
  EXPECT_EQ(row.input + row.cached + row.output + row.more + row.as_of, "");
  EXPECT_EQ(json_of(*read->find("", "b", "one")), R"({"vendor":"b","model":"one","source":"file","price":null})");
}

TEST(Listing, WritesFiguresAsIntegers) {
  auto read = catalog();
  EXPECT_EQ(json_of(*read->find("", "b", "zwei")),
            R"({"vendor":"b","model":"two","also":["zwei"],"source":"file","price":{"input":3000000,"cached":300000,)"
            R"("cache_write":3750000,"output":15000000,"long_context":[{"above":200000,"input":6000000,)"
            R"("output":22500000}],"batch":50,"context":200000,"as_of":"2026-11-01"}})");
  EXPECT_EQ(json_of(*read->find("", "a", "three")),
            R"({"vendor":"a","model":"three","source":"file",)"
            R"("price":{"input":1000000,"output":2000000,"as_of":"2026-11-01"},)"
            R"("prices":[{"input":1000000,"output":2000000,"as_of":"2026-11-01"},)"
            R"({"input":2000000,"output":4000000,"as_of":"2026-11-02","from":"2027-01-01"}]})");
}

TEST(Listing, FindsByPartAndByPattern) {
  auto read = catalog();
  auto names = [&](std::string_view part) {
    std::string all;
    for (const Entry* entry : matching(*read, part)) all += entry->vendor + "/" + entry->model + " ";
    return all;
  };
  EXPECT_EQ(names(""), "a/three b/one b/two ");
  EXPECT_EQ(names("b/"), "b/one b/two ");
  EXPECT_EQ(names("*/t*"), "a/three b/two ");
  EXPECT_EQ(names("nothing"), "");
}

}  // namespace
}  // namespace penstock::price
