// What the usage ledger costs: a day of a million rows (1,000 keys, 20 models) written minute by minute as the gateway
// does, asked in several ways, and trimmed.
//   ledger FOLDER [ROWS] [DAYS]
#include <fmt/format.h>
#include <sys/resource.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <random>

#include "base/process.h"
#include "store/usage_export.h"

namespace {

using namespace penstock;
using Clock = std::chrono::steady_clock;

constexpr base::WallMicros kMinute = 60'000'000;
constexpr base::WallMicros kDay = 1440 * kMinute;
constexpr base::WallMicros kBegin = 1'767'225'600'000'000;  // 2026-01-01T00:00:00Z

double millis_since(Clock::time_point start) {
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

store::UsageRow row(std::mt19937& random, base::WallMicros at) {
  auto key = random() % 1000;
  store::UsageRow made{at,
                       fmt::format("key-{}", key),
                       fmt::format("team-{}", key % 50),
                       fmt::format("model-{}", random() % 20),
                       "provider/model",
                       "openai",
                       {}};
  made.used.requests = 1 + random() % 5;
  made.used.input_tokens = random() % 5000;
  made.used.output_tokens = random() % 1000;
  made.used.cost_micros = random() % 20'000;
  return made;
}

void insert(store::Ledger& ledger, int rows, int days) {
  std::mt19937 random(1);
  double worst = 0;
  auto start = Clock::now();
  for (int minute = 0; minute < days * 1440; ++minute) {
    std::vector<store::UsageRow> batch;
    int upto = static_cast<int>(static_cast<std::int64_t>(rows) * (minute % 1440 + 1) / 1440);
    int from = static_cast<int>(static_cast<std::int64_t>(rows) * (minute % 1440) / 1440);
    for (int i = from; i < upto; ++i) batch.push_back(row(random, kBegin + minute * kMinute));
    auto begun = Clock::now();
    if (auto done = ledger.write(batch, {}, 0); !done) {
      fmt::print("{}\n", done.error().detail);
      std::exit(1);
    }
    worst = std::max(worst, millis_since(begun));
  }
  double took = millis_since(start);
  fmt::print("write {} rows: {:.1f} s, {:.1f} us a row, worst transaction {:.1f} ms\n",
             static_cast<std::int64_t>(rows) * days, took / 1e3, took * 1e3 / (static_cast<double>(rows) * days),
             worst);
}

void ask(store::Ledger& ledger, std::string_view what, std::string_view by, store::UsageQuery query) {
  (void)store::parse_group_by(by, query);
  double best = 1e18;
  std::int64_t rows = 0;
  for (int round = 0; round < 3; ++round) {
    rows = 0;
    auto start = Clock::now();
    auto done = ledger.query(query, [&](const store::UsageRow&) { return ++rows > 0; });
    if (!done) fmt::print("{}\n", done.error().detail);
    best = std::min(best, millis_since(start));
  }
  fmt::print("{:<58} {:>9.1f} ms {:>9} rows\n", what, best, rows);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    fmt::print("ledger FOLDER [ROWS a day] [DAYS]\n");
    return 2;
  }
  int rows = argc > 2 ? std::atoi(argv[2]) : 1'000'000;
  int days = argc > 3 ? std::atoi(argv[3]) : 1;
  auto ledger = store::Ledger::open(argv[1]);
  if (!ledger) {
    fmt::print("{}\n", ledger.error().detail);
    return 1;
  }
  insert(*ledger, rows, days);
  fmt::print("file: {:.1f} MB\n",
             static_cast<double>(std::filesystem::file_size(fmt::format("{}/ledger.db", argv[1]))) / 1e6);
  store::UsageQuery all;
  store::UsageQuery key = all;
  key.only[0] = "key-7";
  store::UsageQuery model = all;
  model.only[2] = "model-3";
  store::UsageQuery hours = all;
  hours.since = kBegin + 490 * kMinute;
  hours.until = kBegin + 1130 * kMinute;
  ask(*ledger, "all, per day", "day", all);
  ask(*ledger, "per key", "key", all);
  ask(*ledger, "per team", "team", all);
  ask(*ledger, "per model and day", "model,day", all);
  ask(*ledger, "per key and model", "key,model", all);
  ask(*ledger, "per key, 08:10 to 18:50", "key", hours);
  ask(*ledger, "per hour", "hour", all);
  ask(*ledger, "per minute", "minute", all);
  ask(*ledger, "one key, per model", "model", key);
  ask(*ledger, "one key, per hour", "hour", key);
  ask(*ledger, "one key, per minute", "minute", key);
  ask(*ledger, "one model, per key", "key", model);
  ask(*ledger, "one model, per hour and key", "hour,key", model);
  store::UsageQuery every;
  (void)store::parse_group_by("key,team,model,target,api,minute", every);
  std::uint64_t before = base::resident_bytes();
  auto start = Clock::now();
  std::size_t bytes = 0;
  (void)store::export_usage(*ledger, every, store::UsageFormat::csv, [&](std::string_view piece) {
    bytes += piece.size();
    return true;
  });
  fmt::print("export of every minute as CSV: {:.1f} s, {:.1f} MB; memory grew by {:.1f} MB\n",
             millis_since(start) / 1e3, static_cast<double>(bytes) / 1e6,
             static_cast<double>(base::resident_bytes() - before) / 1e6);
  start = Clock::now();
  double worst = 0;
  int steps = 0;
  for (bool more = true; more; ++steps) {
    auto begun = Clock::now();
    auto trimmed = ledger->trim({}, kBegin + 30 * kDay);
    more = trimmed && *trimmed;
    worst = std::max(worst, millis_since(begun));
  }
  fmt::print("trim of the minutes: {} steps, {:.1f} s in all, worst step {:.1f} ms; file then {:.1f} MB\n", steps,
             millis_since(start) / 1e3, worst,
             static_cast<double>(std::filesystem::file_size(fmt::format("{}/ledger.db", argv[1]))) / 1e6);
  return 0;
}
