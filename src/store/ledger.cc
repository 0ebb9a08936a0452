#include "store/ledger.h"

#include <sqlite3.h>
#include <unistd.h>

#include "store/state.h"

namespace penstock::store {
namespace {

constexpr base::WallMicros kMinute = 60'000'000;
constexpr std::int64_t kMinutesOfDay = 24 * 60;
constexpr std::size_t kSeriesKept = 65'536;
// Rows that one step of trimming takes out, and pages it gives back to the disk: a few milliseconds each.
constexpr int kTrimRows = 500;
constexpr int kTrimPages = 256;

constexpr DatabaseOptions kOptions{
    .begin_again = "move it away together with its -wal and its -shm to begin without the history of usage and budgets",
    .cache_kib = 4096,
    .shrinks = true,
};

// A `series` is one combination of names; its rows are small, and ordered by time, so that what is written together
// lies together and what grows old goes together. `at` counts minutes, hours or days since 1970.
constexpr std::string_view kUsageTable =
    R"(CREATE TABLE usage_{} (
         at INTEGER NOT NULL, series INTEGER NOT NULL, requests INTEGER NOT NULL, errors INTEGER NOT NULL,
         input_tokens INTEGER NOT NULL, output_tokens INTEGER NOT NULL, cached_tokens INTEGER NOT NULL,
         cache_write_tokens INTEGER NOT NULL, reasoning_tokens INTEGER NOT NULL, cost_micros INTEGER NOT NULL,
         unpriced_requests INTEGER NOT NULL, estimated_requests INTEGER NOT NULL, waited_micros INTEGER NOT NULL,
         PRIMARY KEY (at, series)) STRICT, WITHOUT ROWID;)";

// `horizon`: the minute before which rows of a table are kept no longer. `adopted`: rows of an older version's file as
// far as they were taken over, of its last day.
const std::vector<std::string>& migrations() {
  static const std::vector<std::string> kMigrations{
      std::string(
          R"(CREATE TABLE names (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;
             CREATE TABLE series (
               id INTEGER PRIMARY KEY, key INTEGER NOT NULL, team INTEGER NOT NULL, model INTEGER NOT NULL,
               target INTEGER NOT NULL, api INTEGER NOT NULL, UNIQUE (key, team, model, target, api)) STRICT;
             CREATE TABLE horizon (name TEXT PRIMARY KEY, minute INTEGER NOT NULL) STRICT, WITHOUT ROWID;
             CREATE TABLE meters (id TEXT PRIMARY KEY, state TEXT NOT NULL, at INTEGER NOT NULL) STRICT, WITHOUT ROWID;
             CREATE TABLE adopted (
               at INTEGER NOT NULL, key TEXT NOT NULL, model TEXT NOT NULL, target TEXT NOT NULL, api TEXT NOT NULL,
               requests INTEGER NOT NULL, errors INTEGER NOT NULL,
               input_tokens INTEGER NOT NULL, output_tokens INTEGER NOT NULL, cached_tokens INTEGER NOT NULL,
               PRIMARY KEY (at, key, model, target, api)) STRICT, WITHOUT ROWID;)") +
          fmt::format(fmt::runtime(kUsageTable), "minute") + fmt::format(fmt::runtime(kUsageTable), "hour") +
          fmt::format(fmt::runtime(kUsageTable), "day"),
      // How the meters of a process went on after another has taken over.
      R"(CREATE TABLE carried (
           sequence INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL, before TEXT NOT NULL, after TEXT NOT NULL)
         STRICT;)",
  };
  return kMigrations;
}

std::string column_names() {
  std::string names;
  for (const UsageColumn& column : kUsageColumns) names += fmt::format(",{}", column.name);
  return names;
}

// "INSERT INTO usage_minute VALUES (?,?,...) ON CONFLICT DO UPDATE SET requests=requests+excluded.requests,..."
std::string upsert(std::string_view table) {
  std::string values = "?1,?2";
  std::string sums;
  for (std::size_t i = 0; i < kUsageColumns.size(); ++i) {
    values += fmt::format(",?{}", i + 3);
    sums += fmt::format("{}{}={}+excluded.{}", i == 0 ? "" : ",", kUsageColumns[i].name, kUsageColumns[i].name,
                        kUsageColumns[i].name);
  }
  return fmt::format("INSERT INTO usage_{} VALUES ({}) ON CONFLICT DO UPDATE SET {}", table, values, sums);
}

// The statements that add one row, to each of the tables.
class Adder {
 public:
  static Result<Adder> make(Database& database) {
    auto minute = database.prepare(upsert("minute"));
    auto hour = database.prepare(upsert("hour"));
    auto day = database.prepare(upsert("day"));
    for (auto* statement : {&minute, &hour, &day})
      if (!*statement) return std::unexpected(statement->error());
    return Adder(std::move(*minute), std::move(*hour), std::move(*day));
  }
  Result<void> add(base::WallMicros at, std::int64_t series, const UsageSums& used) {
    std::int64_t minute = std::max<base::WallMicros>(at, 0) / kMinute;
    if (auto done = add(minute_, minute, series, used); !done) return done;
    if (auto done = add(hour_, minute / 60, series, used); !done) return done;
    return add(day_, minute / kMinutesOfDay, series, used);
  }

 private:
  Adder(Statement minute, Statement hour, Statement day)
      : minute_(std::move(minute)), hour_(std::move(hour)), day_(std::move(day)) {}
  static Result<void> add(Statement& statement, std::int64_t at, std::int64_t series, const UsageSums& used) {
    statement.bind(1, at).bind(2, series);
    int index = 3;
    for (const UsageColumn& column : kUsageColumns) statement.bind(index++, used.*column.member);
    return statement.run();
  }
  Statement minute_, hour_, day_;
};

Result<std::int64_t> one_number(Database& database, std::string_view sql) {
  auto statement = database.prepare(sql);
  if (!statement) return std::unexpected(statement.error());
  auto row = statement->step();
  if (!row) return std::unexpected(row.error());
  return *row ? statement->integer(0) : 0;
}

}  // namespace

Result<Ledger> Ledger::open(const std::string& dir) {
  if (auto made = make_data_dir(dir); !made) return std::unexpected(made.error());
  auto database = Database::open(dir + "/ledger.db", migrations(), kOptions);
  if (!database) return std::unexpected(database.error());
  // What is missing shows here, not at the first call that is to be counted.
  for (const char* table : {"minute", "hour", "day"}) {
    if (auto known = database->prepare(fmt::format("SELECT at,series{} FROM usage_{}", column_names(), table)); !known)
      return std::unexpected(known.error());
  }
  for (const char* columns : {"id,name FROM names", "id,key,team,model,target,api FROM series",
                              "name,minute FROM horizon", "id,state,at FROM meters", "at,requests FROM adopted"}) {
    if (auto known = database->prepare(fmt::format("SELECT {}", columns)); !known)
      return std::unexpected(known.error());
  }
  Ledger ledger(std::move(*database));
  if (std::string old = dir + "/penstock.db"; ::access(old.c_str(), F_OK) == 0) {
    if (auto done = ledger.adopt(old); !done) return std::unexpected(done.error());
  }
  return ledger;
}

// An older version may go on writing while this one runs already (an upgrade without a pause), or be put back for a
// while. So every opening takes over what is new, and remembers the last day of what it took.
Result<void> Ledger::adopt(const std::string& old_file) {
  auto attach = database_.prepare("ATTACH ? AS old");
  if (!attach) return std::unexpected(attach.error());
  if (auto done = attach->bind(1, old_file).run(); !done) return done;
  auto done = adopt_attached();
  auto detached = database_.execute("DETACH old");
  return done ? detached : done;
}

Result<void> Ledger::adopt_attached() {
  auto there = one_number(database_, "SELECT COUNT(*) FROM old.sqlite_master WHERE type='table' AND name='usage'");
  if (!there) return std::unexpected(there.error());
  if (*there == 0) return {};
  constexpr std::string_view kNew =
      "FROM old.usage o LEFT JOIN adopted a USING (at,key,model,target,api) WHERE o.at>=COALESCE((SELECT minute FROM "
      "horizon WHERE name='adopted'),0)*60000000 AND o.requests>COALESCE(a.requests,0)";
  auto any = one_number(database_, fmt::format("SELECT EXISTS(SELECT 1 {})", kNew));
  if (!any) return std::unexpected(any.error());
  if (*any == 0) return {};
  auto done = database_.transaction([&]() -> Result<void> {
    auto adder = Adder::make(database_);
    if (!adder) return std::unexpected(adder.error());
    auto rows = database_.prepare(
        fmt::format("SELECT at,key,model,target,api,o.requests-COALESCE(a.requests,0),o.errors-COALESCE(a.errors,0),"
                    "o.input_tokens-COALESCE(a.input_tokens,0),o.output_tokens-COALESCE(a.output_tokens,0),"
                    "o.cached_tokens-COALESCE(a.cached_tokens,0) {}",
                    kNew));
    if (!rows) return std::unexpected(rows.error());
    while (true) {
      auto more = rows->step();
      if (!more) return std::unexpected(more.error());
      if (!*more) break;
      UsageRow row;
      row.at = rows->integer(0);
      row.key = rows->text(1);
      row.model = rows->text(2);
      row.target = rows->text(3);
      row.api = rows->text(4);
      for (int i = 0; i < 5; ++i) row.used.*kUsageColumns[static_cast<std::size_t>(i)].member = rows->integer(5 + i);
      row.used.unpriced_requests = row.used.requests;
      auto series = series_id(row);
      if (!series) return std::unexpected(series.error());
      if (auto added = adder->add(row.at, *series, row.used); !added) return added;
    }
    return database_.execute(
        "INSERT OR REPLACE INTO horizon SELECT 'adopted',MAX(MAX(at)/60000000-1440,0) FROM old.usage;"
        "DELETE FROM adopted;"
        "INSERT INTO adopted SELECT at,key,model,target,api,requests,errors,input_tokens,output_tokens,cached_tokens "
        "FROM old.usage WHERE at>=(SELECT minute FROM horizon WHERE name='adopted')*60000000");
  });
  if (!done) series_.clear();
  return done;
}

// Steps a statement for the one number it gives, 0 without a row, and leaves nothing of it open.
Result<std::int64_t> Ledger::number_of(Statement& statement) {
  auto row = statement.step();
  if (!row) return std::unexpected(row.error());
  std::int64_t number = *row ? statement.integer(0) : 0;
  statement.reset();
  return number;
}

Result<void> Ledger::prepare_names() {
  if (names_) return {};
  auto find_name = database_.prepare("SELECT id FROM names WHERE name=?");
  auto add_name = database_.prepare("INSERT INTO names (name) VALUES (?) RETURNING id");
  auto find = database_.prepare("SELECT id FROM series WHERE key=? AND team=? AND model=? AND target=? AND api=?");
  auto add = database_.prepare("INSERT INTO series (key,team,model,target,api) VALUES (?,?,?,?,?) RETURNING id");
  for (auto* statement : {&find_name, &add_name, &find, &add})
    if (!*statement) return std::unexpected(statement->error());
  names_.emplace(Names{std::move(*find_name), std::move(*add_name), std::move(*find), std::move(*add)});
  return {};
}

Result<std::int64_t> Ledger::name_id(const std::string& name) {
  auto id = number_of(names_->find_name.bind(1, name));
  if (!id || *id != 0) return id;
  return number_of(names_->add_name.bind(1, name));
}

Result<std::int64_t> Ledger::series_id(const UsageRow& row) {
  std::string names;
  for (const UsageDimension& dimension : kUsageDimensions) (names += row.*dimension.member) += '\0';
  if (auto known = series_.find(names); known != series_.end()) return known->second;
  if (auto ready = prepare_names(); !ready) return std::unexpected(ready.error());
  for (std::size_t i = 0; i < kUsageDimensions.size(); ++i) {
    auto id = name_id(row.*kUsageDimensions[i].member);
    if (!id) return id;
    names_->find_series.bind(static_cast<int>(i) + 1, *id);
    names_->add_series.bind(static_cast<int>(i) + 1, *id);
  }
  auto id = number_of(names_->find_series);
  if (id && *id == 0) id = number_of(names_->add_series);
  if (!id) return id;
  if (series_.size() >= kSeriesKept) series_.clear();
  series_.emplace(std::move(names), *id);
  return id;
}

Result<void> Ledger::write(std::span<const UsageRow> rows, std::span<const MeterState> meters, base::WallMicros now,
                           const Carrying& carrying) {
  auto done = database_.transaction([&]() -> Result<void> {
    auto adder = Adder::make(database_);
    if (!adder) return std::unexpected(adder.error());
    for (const UsageRow& row : rows) {
      auto series = series_id(row);
      if (!series) return std::unexpected(series.error());
      if (auto added = adder->add(row.at, *series, row.used); !added) return added;
    }
    if (auto carried = write_carried(carrying); !carried) return carried;
    return write_meters(meters, now);
  });
  if (!done) series_.clear();  // ids that were rolled back are given to others
  return done;
}

Result<void> Ledger::write_meters(std::span<const MeterState> meters, base::WallMicros now) {
  if (meters.empty()) return {};
  auto keep = database_.prepare("INSERT OR REPLACE INTO meters VALUES (?,?,?)");
  auto forget = database_.prepare("DELETE FROM meters WHERE id=?");
  if (!keep || !forget) return std::unexpected(keep ? forget.error() : keep.error());
  for (const MeterState& meter : meters) {
    auto done = meter.state.empty() ? forget->bind(1, meter.id).run()
                                    : keep->bind(1, meter.id).bind(2, meter.state).bind(3, now).run();
    if (!done) return done;
  }
  return {};
}

Result<void> Ledger::write_carried(const Carrying& carrying) {
  if (carrying.left.empty() && carrying.taken_up.empty()) return {};
  auto leave = database_.prepare("INSERT INTO carried (id,before,after) VALUES (?,?,?)");
  auto forget = database_.prepare("DELETE FROM carried WHERE sequence=?");
  if (!leave || !forget) return std::unexpected(leave ? forget.error() : leave.error());
  for (const CarriedMeter& meter : carrying.left)
    if (auto done = leave->bind(1, meter.id).bind(2, meter.before).bind(3, meter.after).run(); !done) return done;
  for (std::int64_t sequence : carrying.taken_up)
    if (auto done = forget->bind(1, sequence).run(); !done) return done;
  return {};
}

Result<std::vector<CarriedMeter>> Ledger::carried(std::int64_t since) {
  auto statement = database_.prepare("SELECT sequence,id,before,after FROM carried WHERE sequence>? ORDER BY sequence");
  if (!statement) return std::unexpected(statement.error());
  statement->bind(1, since);
  std::vector<CarriedMeter> found;
  while (true) {
    auto row = statement->step();
    if (!row) return std::unexpected(row.error());
    if (!*row) return found;
    found.push_back({statement->integer(0), statement->text(1), statement->text(2), statement->text(3)});
  }
}

Result<std::vector<MeterState>> Ledger::meters() {
  auto statement = database_.prepare("SELECT id,state FROM meters");
  if (!statement) return std::unexpected(statement.error());
  std::vector<MeterState> meters;
  while (true) {
    auto row = statement->step();
    if (!row) return std::unexpected(row.error());
    if (!*row) return meters;
    meters.push_back({statement->text(0), statement->text(1)});
  }
}

Result<base::WallMicros> Ledger::newest() {
  auto minute =
      one_number(database_,
                 "SELECT MAX(COALESCE((SELECT MAX(at) FROM usage_minute),0),COALESCE((SELECT MAX(at) FROM usage_day),0)"
                 "*1440)");
  if (!minute) return std::unexpected(minute.error());
  return *minute * kMinute;
}

Result<bool> Ledger::trim(const UsageRetention& keep, base::WallMicros now) {
  using Table = std::pair<const char*, base::Duration>;
  for (auto [table, kept] : {Table{"minute", keep.minutes}, Table{"hour", keep.hours}, Table{"day", keep.days}}) {
    // Whole days, so that what is older is there in the coarser rows without a gap.
    std::int64_t minute = now / kMinute - std::chrono::duration_cast<std::chrono::minutes>(kept).count();
    auto more = trim_table(table, minute - minute % kMinutesOfDay);
    if (!more || *more) return more;
  }
  auto unused = one_number(database_, "PRAGMA freelist_count");
  if (!unused) return std::unexpected(unused.error());
  if (*unused == 0) return false;
  auto given_back = database_.execute(fmt::format("PRAGMA incremental_vacuum({})", kTrimPages));
  if (!given_back) return std::unexpected(given_back.error());
  return *unused > kTrimPages;
}

Result<bool> Ledger::trim_table(std::string_view table, std::int64_t before) {
  std::int64_t unit = table == "minute" ? 1 : table == "hour" ? 60 : kMinutesOfDay;
  auto old =
      one_number(database_, fmt::format("SELECT EXISTS(SELECT 1 FROM usage_{} WHERE at<{})", table, before / unit));
  if (!old) return std::unexpected(old.error());
  if (*old == 0) return false;
  auto done = database_.transaction([&]() -> Result<void> {
    return database_.execute(fmt::format(
        "INSERT INTO horizon VALUES ('{0}',{1}) ON CONFLICT DO UPDATE SET minute=MAX(minute,excluded.minute);"
        "DELETE FROM usage_{0} WHERE (at,series) IN (SELECT at,series FROM usage_{0} WHERE at<{2} ORDER BY at,series "
        "LIMIT {3})",
        table, before, before / unit, kTrimRows));
  });
  if (!done) return std::unexpected(done.error());
  return true;
}

}  // namespace penstock::store
