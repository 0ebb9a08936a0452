#include "app/usage_writer.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "app/budget_metrics.h"

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
    auto database = store::Database::open(dir + "/ledger.db", {"", ""});
    auto statement = database->prepare("SELECT COUNT(*) FROM usage_minute");
    return statement->step().value() ? statement->integer(0) : -1;
  }
  void run_sql(const std::string& sql) {
    auto database = store::Database::open(dir + "/ledger.db", {"", ""});
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
  auto other = store::Database::open(dir + "/ledger.db", {"", ""});
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

TEST_F(UsageWriterTest, CountsWhatCallsCostAndWaited) {
  obs::RequestEvent priced = event("app", "chat");
  priced.team = obs::intern("research");
  priced.usage_known = priced.cost_known = priced.usage_estimated = true;
  priced.cost_micros = 345;
  priced.cache_write_tokens = 6;
  priced.reasoning_tokens = 3;
  priced.waited_nanos = 2'000'000;
  obs::RequestEvent unpriced = priced;
  unpriced.cost_known = unpriced.usage_estimated = false;
  unpriced.cost_micros = 5;  // as much as is known of it
  obs::RequestEvent unused = event("app", "chat");
  unused.team = obs::intern("research");
  writer.take({priced, unpriced, unused});
  writer.flush();
  auto sums = rows("team");
  ASSERT_EQ(sums.size(), 1U);
  EXPECT_EQ(sums[0].team, "research");
  EXPECT_EQ(sums[0].used.requests, 3);
  EXPECT_EQ(sums[0].used.cost_micros, 350);
  EXPECT_EQ(sums[0].used.unpriced_requests, 1);
  EXPECT_EQ(sums[0].used.estimated_requests, 1);
  EXPECT_EQ(sums[0].used.cache_write_tokens, 12);
  EXPECT_EQ(sums[0].used.reasoning_tokens, 6);
  EXPECT_EQ(sums[0].used.waited_micros, 4000);
}

TEST_F(UsageWriterTest, CountsWhatItHasNoRowFor) {
  std::vector<obs::RequestEvent> many;
  obs::RequestEvent one = event("app", "chat");
  for (std::size_t i = 0; i < UsageWriter::kMinutesApartRows + 10; ++i) {
    one.at += 60'000'000;
    many.push_back(one);
  }
  one.key = obs::intern("other");
  many.push_back(one);
  writer.take(many);
  writer.flush();
  EXPECT_EQ(stored_rows(), static_cast<std::int64_t>(UsageWriter::kMinutesApartRows) + 1)
      << "minutes are put together, names never";
  EXPECT_EQ(rows("")[0].used.requests, static_cast<std::int64_t>(many.size()));
}

// The account of a key with one USD a day.
std::shared_ptr<quota::Account> account_of(quota::Book& book) {
  return book.account("key:app", "the API key 'app'", quota::parse_rules("budget: 1USD/day").value());
}

quota::Reservation reserve(quota::Book& book, quota::Account* account, std::int64_t cost, const base::Clock& clock) {
  quota::Ask ask;
  ask.cost = cost;
  std::array<quota::Account*, 1> accounts{account};
  auto reserved = book.reserve(accounts, ask, {clock.steady(), clock.wall()});
  EXPECT_TRUE(reserved.has_value());
  return reserved ? std::move(*reserved) : quota::Reservation();
}

std::int64_t spent_after_a_restart(const std::string& dir, const base::Clock& clock) {
  quota::Book book;
  UsageWriter writer(store::Ledger::open(dir).value(), clock);
  auto kept = writer.keep(book);
  EXPECT_TRUE(kept.has_value()) << kept.error().detail;
  return account_of(book)->state({clock.steady(), clock.wall()}).budgets.at(0).spent;
}

TEST_F(UsageWriterTest, BudgetsGoOnWhereTheyStood) {
  quota::Book book;
  ASSERT_TRUE(writer.keep(book).has_value());
  auto account = account_of(book);
  EXPECT_EQ(writer.take({}), base::Duration::zero()) << "nothing is limited: nobody wakes it";
  writer.set_metered(true);
  EXPECT_EQ(writer.take({}), 100ms);
  auto reservation = reserve(book, account.get(), 500'000, clock);
  clock.advance(100ms);
  writer.take({});
  EXPECT_EQ(spent_after_a_restart(dir, clock), 500'000) << "what is held counts as spent after a crash";
  quota::Used used;
  used.cost = 300'000;
  reservation.settle(used, {clock.steady(), clock.wall()});
  clock.advance(100ms);
  writer.take({event("app", "chat")});
  EXPECT_EQ(spent_after_a_restart(dir, clock), 300'000);
  EXPECT_EQ(stored_rows(), 1) << "in the same transaction";
  // Another process has them now.
  writer.let_go_of_meters();
  reservation = reserve(book, account.get(), 200'000, clock);
  writer.flush();
  EXPECT_EQ(spent_after_a_restart(dir, clock), 500'000) << "it hears what this one holds";
}

TEST_F(UsageWriterTest, MetersTheDiskRefusesAreTriedAgain) {
  quota::Book book;
  ASSERT_TRUE(writer.keep(book).has_value());
  writer.set_metered(true);
  auto account = account_of(book);
  auto reservation = reserve(book, account.get(), 500'000, clock);
  run_sql("ALTER TABLE usage_hour RENAME TO elsewhere");
  writer.take({event("app", "chat")});
  clock.advance(100ms);
  writer.take({});
  EXPECT_EQ(ledger.meters()->size(), 0U);
  run_sql("ALTER TABLE elsewhere RENAME TO usage_hour");
  clock.advance(100ms);
  writer.take({});
  EXPECT_EQ(ledger.meters()->size(), 1U);
  EXPECT_EQ(stored_rows(), 1);
}

TEST_F(UsageWriterTest, AMeterThatCannotBeReadIsNotABudgetThatBeginsAnew) {
  ASSERT_TRUE(ledger.write({}, {{{"key:app", "{garbage"}}}, 1).has_value());
  quota::Book book;
  auto kept = writer.keep(book);
  ASSERT_FALSE(kept.has_value());
  EXPECT_NE(kept.error().detail.find("key:app"), std::string::npos) << kept.error().detail;
}

TEST_F(UsageWriterTest, SaysWhatIsLeftOfBudgets) {
  quota::Book book;
  auto account = account_of(book);
  auto unlimited = book.account("key:free", "the API key 'free'", {});
  BudgetMetrics metrics(book, clock);
  metrics.show({account, nullptr, unlimited});
  auto held = reserve(book, account.get(), 250'000, clock);
  auto settled = reserve(book, account.get(), 500'000, clock);
  quota::Used used;
  used.cost = 125'000;
  settled.settle(used, {clock.steady(), clock.wall()});
  obs::MetricWriter text;
  metrics.collect(text);
  EXPECT_NE(text.text().find("\npenstock_waiting_calls 0\n"), std::string::npos) << text.text();
  EXPECT_NE(text.text().find("\npenstock_budget_used_usd{account=\"key:app\",budget=\"1USD/day\"} 0.125\n"),
            std::string::npos)
      << text.text();
  EXPECT_NE(text.text().find("\npenstock_budget_remaining_usd{account=\"key:app\",budget=\"1USD/day\"} 0.625\n"),
            std::string::npos)
      << text.text();
  EXPECT_EQ(text.text().find("key:free"), std::string::npos);
}

TEST_F(UsageWriterTest, AStartWithAClockThatRunsAheadRemovesNothingForADay) {
  writer.take({event("k", "m")});
  writer.flush();
  base::FakeClock ahead;
  ahead.advance(800 * 24h);
  UsageWriter late(store::Ledger::open(dir).value(), ahead);
  late.set_retention({.minutes = 24h, .hours = 24h, .days = 24h});
  for (int minute = 0; minute < 5; ++minute) {
    ahead.advance(60s);
    late.take({});
  }
  EXPECT_EQ(stored_rows(), 1);
  ahead.advance(24h);
  for (int step = 0; step < 5; ++step) {
    ahead.advance(60s);
    late.take({});
  }
  EXPECT_EQ(stored_rows(), 0);
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
