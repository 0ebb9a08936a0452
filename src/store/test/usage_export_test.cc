#include "store/usage_export.h"

#include <gmock/gmock.h>

#include <filesystem>

#include "base/secret.h"
#include "json/value.h"

namespace penstock::store {
namespace {

using testing::HasSubstr;

constexpr base::WallMicros kAt = 1'700'438'460'000'000;  // 2023-11-20T00:01:00Z

class UsageExportTest : public testing::Test {
 protected:
  std::string dir = std::filesystem::temp_directory_path() / ("penstock-export-" + base::random_token(9));
  void TearDown() override {
    ledger.reset();
    std::filesystem::remove_all(dir);
  }
  std::optional<Ledger> ledger = std::move(*Ledger::open(dir));

  void add(std::string key, UsageSums used = {.requests = 1}) {
    UsageRow row{kAt, std::move(key), "", "chat", "lab/a", "openai", used};
    ASSERT_TRUE(ledger->write({{row}}, {}, kAt).has_value());
  }
  std::string exported(std::string_view by, UsageFormat format) {
    UsageQuery query;
    EXPECT_TRUE(parse_group_by(by, query).has_value());
    std::string text;
    auto done = export_usage(*ledger, query, format, [&](std::string_view piece) {
      text += piece;
      return true;
    });
    EXPECT_TRUE(done.has_value()) << done.error().detail;
    return text;
  }
};

TEST_F(UsageExportTest, WritesCsvWithALineOfNames) {
  add("app", {.requests = 2,
              .errors = 1,
              .input_tokens = 30,
              .output_tokens = 7,
              .cached_tokens = 5,
              .cache_write_tokens = 4,
              .reasoning_tokens = 3,
              .cost_micros = 12'000'345,
              .unpriced_requests = 1,
              .estimated_requests = 1,
              .waited_micros = 1'500'000});
  EXPECT_EQ(exported("key,minute", UsageFormat::csv),
            "time,key,requests,errors,input_tokens,output_tokens,cached_tokens,cache_write_tokens,reasoning_tokens,"
            "cost_usd,unpriced_requests,estimated_requests,waited_seconds\r\n"
            "2023-11-20T00:01:00.000Z,app,2,1,30,7,5,4,3,12.000345,1,1,1.500000\r\n");
}

TEST_F(UsageExportTest, GuardsCellsThatASpreadsheetWouldRun) {
  for (const char* key :
       {"=HYPERLINK(\"http://x\",\"y\")", "+1", "-1", "@SUM(A1)", "\tx", "a\"b", "a,b", "a\nb", "5=4"})
    add(key);
  std::string csv = exported("key", UsageFormat::csv);
  for (const char* line :
       {"\r\n\"'=HYPERLINK(\"\"http://x\"\",\"\"y\"\")\",1,", "\r\n'+1,1,", "\r\n'-1,1,", "\r\n'@SUM(A1),1,",
        "\r\n'\tx,1,", "\r\n\"a\"\"b\",1,", "\r\n\"a,b\",1,", "\r\n\"a\nb\",1,", "\r\n5=4,1,"})
    EXPECT_THAT(csv, HasSubstr(line));
}

TEST_F(UsageExportTest, WritesJsonOfWhateverNames) {
  add("a\"b\\\n\x01", {.requests = 1, .cost_micros = 7});
  add("=x");
  auto whole = json::parse(exported("key,day", UsageFormat::json));
  ASSERT_TRUE(whole.has_value());
  const auto& usage = whole->as_object().at("usage").as_array();
  ASSERT_EQ(usage.size(), 2U);
  EXPECT_EQ(usage[0].as_object().at("key").as_string(), "=x") << "JSON needs no guard";
  EXPECT_EQ(usage[1].as_object().at("key").as_string(), "a\"b\\\n\x01");
  EXPECT_EQ(usage[1].as_object().at("time").as_string(), "2023-11-20T00:00:00.000Z");
  EXPECT_EQ(usage[1].as_object().at("cost_usd").as_double(), 0.000007);
  EXPECT_EQ(whole->as_object().at("since").as_string(), "2023-11-20T00:00:00.000Z");
  EXPECT_EQ(whole->as_object().at("until").as_string(), "2023-11-21T00:00:00.000Z");
  std::string lines = exported("key", UsageFormat::ndjson);
  EXPECT_EQ(std::count(lines.begin(), lines.end(), '\n'), 2);
  EXPECT_TRUE(json::parse(lines.substr(0, lines.find('\n'))).has_value());
}

TEST_F(UsageExportTest, ALedgerWithoutRowsGivesAWholeDocument) {
  EXPECT_EQ(exported("", UsageFormat::ndjson), "");
  auto whole = json::parse(exported("key", UsageFormat::json));
  ASSERT_TRUE(whole.has_value());
  EXPECT_TRUE(whole->as_object().at("usage").as_array().empty());
}

TEST_F(UsageExportTest, EndsWhenTheSinkWantsNoMore) {
  std::vector<UsageRow> rows;
  for (int i = 0; i < 5000; ++i) rows.push_back({kAt, fmt::format("key-{}", i), "", "chat", "lab/a", "openai", {}});
  ASSERT_TRUE(ledger->write(rows, {}, kAt).has_value());
  UsageQuery query;
  ASSERT_TRUE(parse_group_by("key", query).has_value());
  int pieces = 0;
  auto done = export_usage(*ledger, query, UsageFormat::csv, [&](std::string_view piece) {
    EXPECT_LT(piece.size(), 40'000U);
    return ++pieces < 2;
  });
  EXPECT_TRUE(done.has_value());
  EXPECT_EQ(pieces, 2);
  EXPECT_FALSE(parse_format("xml").has_value());
  EXPECT_EQ(*parse_format("csv"), UsageFormat::csv);
}

}  // namespace
}  // namespace penstock::store
