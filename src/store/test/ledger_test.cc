#include "store/ledger.h"

#include <gmock/gmock.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <random>

#include "base/secret.h"

namespace penstock::store {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

constexpr base::WallMicros kMinute = 60'000'000;
constexpr base::WallMicros kDay = 1440 * kMinute;
constexpr base::WallMicros kMonday = 1'700'438'400'000'000;  // 2023-11-20T00:00:00Z

const std::string kOldState = PENSTOCK_SOURCE_DIR "/src/store/test/old/schema2.db";

class LedgerTest : public testing::Test {
 protected:
  std::string dir = std::filesystem::temp_directory_path() / ("penstock-ledger-" + base::random_token(9));
  void SetUp() override { std::filesystem::create_directories(dir); }
  void TearDown() override { std::filesystem::remove_all(dir); }

  static UsageRow row(base::WallMicros at, std::string key, std::string model, std::int64_t requests = 1) {
    UsageRow made{at, std::move(key), "team", std::move(model), "lab/a", "openai", {}};
    made.used.requests = requests;
    made.used.input_tokens = 10 * requests;
    made.used.cost_micros = 1000 - requests;
    return made;
  }
  static std::vector<UsageRow> ask(Ledger& ledger, const UsageQuery& query) {
    std::vector<UsageRow> rows;
    auto done = ledger.query(query, [&](const UsageRow& found) {
      rows.push_back(found);
      return true;
    });
    EXPECT_TRUE(done.has_value()) << done.error().detail;
    return rows;
  }
  static UsageQuery grouped(std::string_view by) {
    UsageQuery query;
    EXPECT_TRUE(parse_group_by(by, query).has_value());
    return query;
  }
  void run_sql(const std::string& file, const std::string& sql, std::size_t version) {
    auto database = Database::open(dir + "/" + file, std::vector<std::string>(version));
    ASSERT_TRUE(database.has_value()) << database.error().detail;
    auto done = database->execute(sql);
    ASSERT_TRUE(done.has_value()) << done.error().detail;
  }
};

TEST_F(LedgerTest, SumsByWhatIsAskedFor) {
  auto ledger = Ledger::open(dir);
  ASSERT_TRUE(ledger.has_value()) << ledger.error().detail;
  std::vector<UsageRow> rows{row(kMonday, "a", "chat", 2), row(kMonday + kMinute, "a", "chat", 3),
                             row(kMonday, "b", "chat", 4), row(kMonday + kDay, "a", "embed", 7)};
  ASSERT_TRUE(ledger->write(rows, {}, kMonday).has_value());
  ASSERT_TRUE(ledger->write({{rows[0]}}, {}, kMonday).has_value()) << "adds to what is there";

  auto keys = ask(*ledger, grouped("key"));
  ASSERT_THAT(keys, SizeIs(2));
  EXPECT_EQ(keys[0].key, "a");
  EXPECT_EQ(keys[0].model, "") << "summed up over models";
  EXPECT_EQ(keys[0].used.requests, 14);
  EXPECT_EQ(keys[0].used.input_tokens, 140);
  EXPECT_EQ(keys[1].used.requests, 4);

  auto days = ask(*ledger, grouped("model,day"));
  ASSERT_THAT(days, SizeIs(2));
  EXPECT_EQ(days[0].at, kMonday);
  EXPECT_EQ(days[0].used.requests, 11);
  EXPECT_EQ(days[1].at, kMonday + kDay);
  EXPECT_EQ(days[1].model, "embed");

  UsageQuery largest = grouped("key");
  largest.order = UsageOrder::cost;
  largest.limit = 1;
  EXPECT_EQ(ask(*ledger, largest)[0].key, "a");
  UsageQuery one = grouped("minute");
  one.only[0] = "b";
  ASSERT_THAT(ask(*ledger, one), SizeIs(1));
  one.only[0] = "nobody";
  EXPECT_THAT(ask(*ledger, one), IsEmpty());
}

// Whatever is asked, the answer is that of adding up all rows one by one.
TEST_F(LedgerTest, AnswersAsAddingUpEveryRowWould) {
  std::mt19937 random(7);
  auto below = [&](int n) { return static_cast<int>(random() % static_cast<unsigned>(n)); };
  auto ledger = Ledger::open(dir);
  std::vector<UsageRow> all;
  // Few rows over some days, and many within an hour.
  for (int i = 0; i < 12'000; ++i) {
    UsageRow made{kMonday + below(i < 3000 ? 4 * 1440 : 50) * kMinute + below(60'000'000),
                  fmt::format("k{}", below(9)),
                  fmt::format("t{}", below(3)),
                  fmt::format("m{}", below(4)),
                  fmt::format("lab/{}", below(2)),
                  below(5) == 0 ? "" : "openai",
                  {}};
    for (const UsageColumn& column : kUsageColumns) made.used.*column.member = below(100);
    all.push_back(std::move(made));
  }
  ASSERT_TRUE(ledger->write(all, {}, kMonday).has_value());
  for (int round = 0; round < 150; ++round) {
    UsageQuery query;
    if (below(4) != 0) query.since = kMonday + (below(5 * 1440) - 300) * kMinute;
    if (below(4) != 0) query.until = std::max(query.since, kMonday) + below(2 * 1440) * kMinute;
    query.per = static_cast<UsageGrain>(below(4));
    for (std::size_t i = 0; i < kUsageDimensions.size(); ++i) {
      query.by[i] = below(3) == 0;
      if (below(3) == 0) query.only[i] = all[static_cast<std::size_t>(below(12'000))].*kUsageDimensions[i].member;
    }
    constexpr std::array<base::WallMicros, 4> kSteps{0, kDay, 60 * kMinute, kMinute};
    base::WallMicros step = kSteps[static_cast<std::size_t>(query.per)];
    std::map<std::pair<base::WallMicros, std::vector<std::string>>, UsageSums> expected;
    for (const UsageRow& one : all) {
      if (one.at < query.since || (query.until != 0 && one.at >= query.until)) continue;
      std::vector<std::string> names;
      bool meant = true;
      for (std::size_t i = 0; i < kUsageDimensions.size(); ++i) {
        const std::string& name = one.*kUsageDimensions[i].member;
        meant = meant && (!query.only[i] || *query.only[i] == name);
        names.push_back(query.by[i] ? name : "");
      }
      if (meant) expected[{step == 0 ? 0 : one.at - one.at % step, names}] += one.used;
    }
    std::vector<UsageRow> got = ask(*ledger, query);
    ASSERT_EQ(got.size(), expected.size()) << "round " << round;
    auto wanted = expected.begin();
    for (const UsageRow& one : got) {
      std::vector<std::string> names;
      for (const UsageDimension& dimension : kUsageDimensions) names.push_back(one.*dimension.member);
      ASSERT_EQ(one.at, wanted->first.first) << "round " << round;
      ASSERT_EQ(names, wanted->first.second) << "round " << round;
      ASSERT_EQ(one.used, wanted->second) << "round " << round;
      ++wanted;
    }
  }
}

TEST_F(LedgerTest, KeepsMetersWithTheRowsOrNeither) {
  auto ledger = Ledger::open(dir);
  std::vector<MeterState> meters{{"key:a", "{1}"}, {"team:b", "{2}"}};
  ASSERT_TRUE(ledger->write({{row(kMonday, "a", "chat")}}, meters, 5).has_value());
  run_sql("ledger.db", "ALTER TABLE meters RENAME TO elsewhere", 2);
  EXPECT_FALSE(ledger->write({{row(kMonday, "new", "chat")}}, {{{"key:a", "{3}"}}}, 6).has_value());
  run_sql("ledger.db", "ALTER TABLE elsewhere RENAME TO meters", 2);
  EXPECT_THAT(ask(*ledger, grouped("key")), SizeIs(1)) << "neither row nor meter";
  // The names of what was rolled back are given anew.
  ASSERT_TRUE(ledger->write({{row(kMonday, "other", "chat")}}, {{{"key:a", ""}}}, 7).has_value());
  ASSERT_TRUE(ledger->write({{row(kMonday, "new", "chat")}}, {}, 8).has_value());
  auto keys = ask(*ledger, grouped("key"));
  ASSERT_THAT(keys, SizeIs(3));
  EXPECT_EQ(keys[1].key, "new");
  auto again = Ledger::open(dir);
  auto kept = again->meters();
  ASSERT_THAT(*kept, SizeIs(1)) << "an empty state is nothing to remember";
  EXPECT_EQ(kept->front().id, "team:b");
  EXPECT_EQ(kept->front().state, "{2}");
}

TEST_F(LedgerTest, FinerRowsGoFirstAndTheFileShrinks) {
  auto ledger = Ledger::open(dir);
  for (int day = 0; day < 10; ++day) {
    std::vector<UsageRow> rows;
    for (int i = 0; i < 1000; ++i)
      rows.push_back(row(kMonday + day * kDay + (i % 100) * 7 * kMinute, fmt::format("k{}", i / 100), "chat"));
    ASSERT_TRUE(ledger->write(rows, {}, kMonday).has_value());
  }
  std::int64_t all = ask(*ledger, grouped(""))[0].used.requests;
  auto pages = [&] {
    auto database = Database::open(dir + "/ledger.db", {"", ""});
    auto statement = database->prepare("PRAGMA page_count");
    return statement->step().value() ? statement->integer(0) : 0;
  };
  std::int64_t before = pages();
  UsageRetention keep{std::chrono::days(2), std::chrono::days(5), std::chrono::days(8)};
  base::WallMicros now = kMonday + 9 * kDay + 500 * kMinute;
  int steps = 0;
  for (bool more = true; more; ++steps) {
    auto trimmed = ledger->trim(keep, now);
    ASSERT_TRUE(trimmed.has_value()) << trimmed.error().detail;
    more = *trimmed;
    ASSERT_LT(steps, 1000);
  }
  EXPECT_GT(steps, 10) << "in small steps";
  EXPECT_LT(pages(), before);
  EXPECT_EQ(ask(*ledger, grouped(""))[0].used.requests, all * 9 / 10) << "the first day is gone";
  EXPECT_THAT(ask(*ledger, grouped("day")), SizeIs(9));
  UsageQuery hours = grouped("hour");
  EXPECT_EQ(ask(*ledger, hours)[0].at, kMonday + 4 * kDay) << "as far back as there are some";
  hours.since = kMonday + 3 * kDay;
  auto refused = ledger->query(hours, [](const UsageRow&) { return true; });
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code, Errc::out_of_range);
  EXPECT_THAT(refused.error().detail, HasSubstr("2023-11-24"));
  // An end that is finer than what is kept moves outwards, and says so.
  UsageQuery part = grouped("");
  part.since = kMonday + 5 * kDay + 90 * kMinute;
  part.until = kMonday + 5 * kDay + 150 * kMinute;
  auto range = ledger->query(part, [](const UsageRow&) { return true; });
  EXPECT_EQ(range->since, kMonday + 5 * kDay + 60 * kMinute);
  EXPECT_EQ(range->until, kMonday + 5 * kDay + 180 * kMinute);
  EXPECT_FALSE(*ledger->trim(keep, 0)) << "a clock that fell back removes nothing";
}

TEST_F(LedgerTest, TakesOverWhatOlderVersionsCounted) {
  std::filesystem::copy_file(kOldState, dir + "/penstock.db");
  {
    auto ledger = Ledger::open(dir);
    ASSERT_TRUE(ledger.has_value()) << ledger.error().detail;
    auto rows = ask(*ledger, grouped("key,model,target,api,minute"));
    ASSERT_THAT(rows, SizeIs(3));
    EXPECT_EQ(rows[0].at, 1'767'225'600'000'000);
    EXPECT_EQ(rows[0].key, "app");
    EXPECT_EQ(rows[0].used.requests, 7);
    EXPECT_EQ(rows[0].used.errors, 1);
    EXPECT_EQ(rows[0].used.input_tokens, 700);
    EXPECT_EQ(rows[0].used.output_tokens, 70);
    EXPECT_EQ(rows[0].used.cached_tokens, 40);
    EXPECT_EQ(rows[0].used.unpriced_requests, 7);
  }
  auto again = Ledger::open(dir);
  EXPECT_EQ(ask(*again, grouped(""))[0].used.requests, 16) << "once";
  // The old version went on while the new one ran already.
  run_sql("penstock.db",
          "UPDATE usage SET requests=requests+2, input_tokens=input_tokens+5 WHERE key='late';"
          "INSERT INTO usage VALUES (1767312060000000,'more','chat','lab/a','openai',1,0,1,1,0)",
          2);
  auto last = Ledger::open(dir);
  auto keys = ask(*last, grouped("key"));
  ASSERT_THAT(keys, SizeIs(4));
  EXPECT_EQ(keys[1].key, "late");
  EXPECT_EQ(keys[1].used.requests, 6);
  EXPECT_EQ(keys[1].used.input_tokens, 45);
  EXPECT_EQ(ask(*last, grouped(""))[0].used.requests, 19);
}

TEST_F(LedgerTest, WhatIsTakenOverIsThereOnceWhereverItIsInterrupted) {
  std::filesystem::copy_file(kOldState, dir + "/penstock.db");
  for (int round = 0; round < 12; ++round) {
    pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      (void)Ledger::open(dir);
      _exit(0);
    }
    ::usleep(static_cast<useconds_t>(round) * 400);
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
  }
  auto ledger = Ledger::open(dir);
  ASSERT_TRUE(ledger.has_value()) << ledger.error().detail;
  EXPECT_EQ(ask(*ledger, grouped(""))[0].used.requests, 16);
}

std::string bytes_of(const std::string& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

TEST_F(LedgerTest, LeavesAFileOfANewerVersionAsItIs) {
  {
    auto ledger = Ledger::open(dir);
    ASSERT_TRUE(ledger->write({{row(kMonday, "a", "chat")}}, {}, 1).has_value());
  }
  run_sql("ledger.db", "PRAGMA user_version=99", 2);
  std::string before = bytes_of(dir + "/ledger.db");
  auto newer = Ledger::open(dir);
  ASSERT_FALSE(newer.has_value());
  EXPECT_EQ(newer.error().code, Errc::failed_precondition);
  EXPECT_THAT(newer.error().detail, HasSubstr("ledger.db was written by a newer version"));
  EXPECT_THAT(newer.error().detail, HasSubstr("history of usage and budgets"));
  EXPECT_TRUE(bytes_of(dir + "/ledger.db") == before);
}

TEST_F(LedgerTest, SaysWhatToDoAboutADamagedFile) {
  for (const char* damage : {"DROP TABLE usage_hour", "DROP TABLE meters", "DROP TABLE series",
                             "ALTER TABLE usage_day DROP COLUMN cost_micros"}) {
    std::filesystem::remove_all(dir);
    ASSERT_TRUE(Ledger::open(dir).has_value());
    run_sql("ledger.db", damage, 2);
    auto ledger = Ledger::open(dir);
    ASSERT_FALSE(ledger.has_value()) << damage;
    EXPECT_EQ(ledger.error().code, Errc::data_loss);
    EXPECT_THAT(ledger.error().detail, HasSubstr("put a backup in its place"));
  }
  std::filesystem::remove_all(dir);
  std::filesystem::create_directories(dir);
  std::ofstream(dir + "/ledger.db") << "this is no database, however long it goes on and on and on";
  EXPECT_EQ(Ledger::open(dir).error().code, Errc::data_loss);
}

TEST_F(LedgerTest, RefusesWhatMakesNoSense) {
  auto ledger = Ledger::open(dir);
  auto refused = [&](const UsageQuery& query) {
    auto done = ledger->query(query, [](const UsageRow&) { return true; });
    return done ? std::optional<Errc>() : done.error().code;
  };
  EXPECT_EQ(refused({.since = -1}), Errc::invalid_argument);
  EXPECT_EQ(refused({.since = 5, .until = 4}), Errc::invalid_argument);
  EXPECT_EQ(refused({.limit = -1}), Errc::invalid_argument);
  EXPECT_EQ(refused({.since = std::numeric_limits<std::int64_t>::max()}), std::nullopt);
  EXPECT_EQ(refused({.until = std::numeric_limits<std::int64_t>::max()}), std::nullopt);
  UsageQuery query;
  EXPECT_FALSE(parse_group_by("key,week", query).has_value());
  EXPECT_FALSE(parse_group_by("hour,day", query).has_value());
  EXPECT_FALSE(parse_order("price").has_value());
}

}  // namespace
}  // namespace penstock::store
