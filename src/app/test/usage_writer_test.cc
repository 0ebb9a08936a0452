#include "app/usage_writer.h"

#include <gtest/gtest.h>

#include <filesystem>

namespace penstock::app {
namespace {

using namespace std::chrono_literals;

obs::RequestEvent event(std::string_view key, std::string_view model, std::string_view target = "lab/a") {
  obs::RequestEvent made{};
  made.at = 1'700'000'000'000'000;
  made.api = obs::intern("openai");
  made.key = obs::intern(key);
  made.model = model.empty() ? obs::Label{} : obs::intern(model);
  made.target = obs::intern(target);
  made.status = 200;
  made.input_tokens = 10;
  made.output_tokens = 5;
  made.cached_tokens = 2;
  return made;
}

struct UsageWriterTest : testing::Test {
  std::string dir = [] {
    std::string pattern = (std::filesystem::temp_directory_path() / "penstock-usage-XXXXXX").string();
    return std::string(::mkdtemp(pattern.data()));
  }();
  base::FakeClock clock;
  UsageWriter writer{store::Ledger::open(dir).value(), clock};
  store::Ledger ledger = store::Ledger::open(dir).value();

  ~UsageWriterTest() override { std::filesystem::remove_all(dir); }

  std::vector<store::UsageRow> rows(std::string_view by = "key,model") {
    store::UsageQuery query;
    EXPECT_TRUE(store::parse_group_by(by, query));
    std::vector<store::UsageRow> found;
    EXPECT_TRUE(ledger.query(query, [&](const store::UsageRow& row) {
      found.push_back(row);
      return true;
    }));
    return found;
  }
  // The rows as they stand in the table.
  std::int64_t stored_rows() {
    auto database = store::Database::open(dir + "/ledger.db", {""});
    auto statement = database->prepare("SELECT COUNT(*) FROM usage_minute");
    return statement->step().value() ? statement->integer(0) : -1;
  }
  void run_sql(const std::string& sql) {
    auto database = store::Database::open(dir + "/ledger.db", {""});
    ASSERT_TRUE(database.has_value()) << database.error().detail;
    auto done = database->execute(sql);
    ASSERT_TRUE(done.has_value()) << done.error().detail;
  }
};

TEST_F(UsageWriterTest, SumsPerKeyModelAndTarget) {
  obs::RequestEvent failed = event("app", "chat");
  failed.error_type = obs::ErrorType::provider_5xx;
  failed.input_tokens = failed.output_tokens = failed.cached_tokens = 0;
  writer.take({event("app", "chat"), event("app", "chat"), failed, event("app", "embed"), event("ops", "chat"),
               event("app", "chat", "lab/b")});
  writer.flush();
  EXPECT_EQ(stored_rows(), 4);
  auto sums = rows();
  ASSERT_EQ(sums.size(), 3U);
  EXPECT_EQ(sums[0].key, "app");
  EXPECT_EQ(sums[0].model, "chat");
  EXPECT_EQ(sums[0].used.requests, 4);
  EXPECT_EQ(sums[0].used.errors, 1);
  EXPECT_EQ(sums[0].used.input_tokens, 30);
  EXPECT_EQ(sums[0].used.output_tokens, 15);
  EXPECT_EQ(sums[0].used.cached_tokens, 6);
  EXPECT_EQ(rows("minute")[0].at, 1'699'999'980'000'000) << "the minute it happened in";
}

TEST_F(UsageWriterTest, WritesNothingBeforeAHundredMilliseconds) {
  writer.take({event("app", "chat")});
  clock.advance(99ms);
  writer.take({event("app", "chat")});
  EXPECT_TRUE(rows().empty());
  clock.advance(1ms);
  writer.take({});
  ASSERT_EQ(rows().size(), 1U) << "the oldest has waited long enough, whether or not new ones came";
  EXPECT_EQ(rows()[0].used.requests, 2);
  clock.advance(1h);
  writer.take({event("app", "chat")});
  EXPECT_EQ(rows()[0].used.requests, 2) << "an interval begins with its first event";
}

TEST_F(UsageWriterTest, CountsNoHealthChecks) {
  writer.take({event("", ""), event("app", "")});
  clock.advance(1s);
  writer.take({});
  writer.flush();
  EXPECT_EQ(stored_rows(), 0);
}

TEST_F(UsageWriterTest, KeepsWhatTheDatabaseRefuses) {
  run_sql("ALTER TABLE usage_hour RENAME TO elsewhere");
  writer.take({event("app", "chat")});
  clock.advance(100ms);
  writer.take({event("app", "chat")});
  writer.flush();
  clock.advance(100ms);
  writer.take({event("app", "embed")});
  run_sql("ALTER TABLE elsewhere RENAME TO usage_hour");
  EXPECT_EQ(stored_rows(), 0);
  clock.advance(100ms);
  writer.take({});
  auto sums = rows();
  ASSERT_EQ(sums.size(), 2U);
  EXPECT_EQ(sums[0].used.requests, 2);
  EXPECT_EQ(sums[0].used.input_tokens, 20);
  EXPECT_EQ(sums[1].model, "embed");
  clock.advance(100ms);
  writer.take({});
  EXPECT_EQ(stored_rows(), 2) << "and writes it once";
}

TEST_F(UsageWriterTest, ALockedDatabaseDelaysAndSaysSo) {
  auto metrics = [this] {
    obs::MetricWriter text;
    writer.collect(text);
    return text.text();
  };
  auto other = store::Database::open(dir + "/ledger.db", {""});
  ASSERT_TRUE(other->execute("BEGIN IMMEDIATE").has_value());
  EXPECT_EQ(writer.take({}), base::Duration::zero());
  EXPECT_EQ(writer.take({event("app", "chat"), event("app", "embed")}), 100ms);
  clock.advance(100ms);
  EXPECT_EQ(writer.take({event("app", "chat")}), 100ms) << "refused, to be tried again";
  clock.advance(400ms);
  std::string text = metrics();
  EXPECT_NE(text.find("\npenstock_usage_waiting_rows 2\n"), std::string::npos) << text;
  EXPECT_NE(text.find("\npenstock_usage_oldest_seconds 0.5\n"), std::string::npos) << text;
  EXPECT_NE(text.find("\npenstock_usage_write_failures_total 1\n"), std::string::npos) << text;
  ASSERT_TRUE(other->execute("ROLLBACK").has_value());
  EXPECT_EQ(writer.take({}), base::Duration::zero());
  EXPECT_EQ(stored_rows(), 2);
  text = metrics();
  EXPECT_NE(text.find("\npenstock_usage_waiting_rows 0\n"), std::string::npos) << text;
  EXPECT_NE(text.find("\npenstock_usage_oldest_seconds 0\n"), std::string::npos) << text;
}

TEST_F(UsageWriterTest, FlushesWhatIsThereAtTheEnd) {
  writer.flush();
  EXPECT_EQ(stored_rows(), 0);
  writer.take({event("app", "chat")});
  writer.flush();
  EXPECT_EQ(stored_rows(), 1);
}

}  // namespace
}  // namespace penstock::app
