// How the ledger answers: from the coarsest rows that are exact, step by step in the order of time, so that no more
// than the groups of one minute, hour or day are held at once.
#include <algorithm>
#include <limits>

#include "store/ledger.h"

namespace penstock::store {
namespace {

constexpr base::WallMicros kMinute = 60'000'000;
constexpr std::size_t kDimensions = kUsageDimensions.size();
// Series that are remembered one by one, and rows that are looked at to learn how close they lie.
constexpr std::size_t kPickedMax = 100'000;
constexpr std::int64_t kSample = 5'000;
using Ids = std::array<std::int64_t, kDimensions>;

// A table of usage: how many minutes its rows span.
struct Table {
  const char* name;
  std::int64_t minutes;
};
constexpr Table kTables[] = {{"minute", 1}, {"hour", 60}, {"day", 24 * 60}};

// Rows of one table, `from` <= at < `to` in its unit.
struct Part {
  Table table;
  std::int64_t from;
  std::int64_t to;
};

std::int64_t floor_to(std::int64_t value, std::int64_t unit) { return value - value % unit; }
std::int64_t ceil_to(std::int64_t value, std::int64_t unit) { return floor_to(value + unit - 1, unit); }

// Minutes since 1970. Splits [from, to) into whole units of `index` and finer rows at the ends.
void split(std::int64_t from, std::int64_t to, std::size_t index, std::vector<Part>& parts) {
  if (from >= to) return;
  const Table& table = kTables[index];
  std::int64_t first = ceil_to(from, table.minutes);
  std::int64_t last = floor_to(to, table.minutes);
  if (first >= last) return split(from, to, index - 1, parts);
  if (index > 0) split(from, first, index - 1, parts);
  parts.push_back({table, first / table.minutes, last / table.minutes});
  if (index > 0) split(last, to, index - 1, parts);
}

std::int64_t minute_now() { return base::system_clock().wall() / kMinute; }

std::size_t coarsest(UsageGrain per) { return per == UsageGrain::minute ? 0 : per == UsageGrain::hour ? 1 : 2; }

struct IdsHash {
  std::size_t operator()(const Ids& ids) const {
    std::uint64_t hash = 0;
    for (std::int64_t id : ids) hash = (hash ^ static_cast<std::uint64_t>(id)) * 0x9E3779B97F4A7C15U;
    return static_cast<std::size_t>(hash ^ (hash >> 32));
  }
};

struct Series {
  std::int64_t id;
  Ids names;
};

std::string list(std::string_view prefix, const auto& columns) {
  std::string text;
  for (const auto& column : columns) text += fmt::format(",{}{}", prefix, column.name);
  return text;
}

}  // namespace

// One query under way.
class LedgerReader {
 public:
  LedgerReader(Database& database, const UsageQuery& query, const Ledger::Take& take)
      : database_(database), query_(query), take_(take) {}

  Result<UsageRange> run() {
    // One look at the file for all of it.
    if (auto begun = database_.execute("BEGIN"); !begun) return std::unexpected(begun.error());
    auto done = read();
    (void)database_.execute("COMMIT");
    if (!done) return std::unexpected(done.error());
    return range_;
  }

 private:
  Result<void> read();
  Result<void> bounds();
  Result<bool> pick();
  Result<bool> worth_seeking(const Part& part);
  Result<void> scan(const Part& part);
  Result<void> seek(const Part& part);
  Result<void> count(const Table& table, std::int64_t at, const Ids& names, Statement& row, int first_sum);
  Result<void> emit();
  Result<std::string_view> name(std::int64_t id);
  Result<std::int64_t> number(std::string_view sql);
  Result<std::int64_t> horizon(std::string_view table);
  std::int64_t figure(const UsageSums& sums) const;

  Database& database_;
  const UsageQuery& query_;
  const Ledger::Take& take_;
  std::int64_t from_ = 0;  // minutes
  std::int64_t to_ = 0;
  UsageRange range_;
  Ids only_{};        // ids of the names in query_.only
  bool few_ = false;  // picked_ tells the series asked for, few of all
  std::vector<Series> picked_;
  std::unordered_map<Ids, UsageSums, IdsHash> groups_;  // of one time step
  std::int64_t step_ = -1;                              // its begin, minutes
  std::unordered_map<std::int64_t, std::string> names_;
  std::optional<Statement> find_name_;
  std::int64_t rows_ = 0;
  bool enough_ = false;
};

Result<std::int64_t> LedgerReader::number(std::string_view sql) {
  auto statement = database_.prepare(sql);
  if (!statement) return std::unexpected(statement.error());
  auto row = statement->step();
  if (!row) return std::unexpected(row.error());
  return *row ? statement->integer(0) : 0;
}

// The first minute that rows of a table are kept of. What a clock that ran ahead has removed says nothing of what
// comes.
Result<std::int64_t> LedgerReader::horizon(std::string_view table) {
  auto minute = number(fmt::format("SELECT minute FROM horizon WHERE name='{}'", table));
  if (minute) *minute = std::min(*minute, minute_now());
  return minute;
}

Result<void> LedgerReader::bounds() {
  auto first = number("SELECT COALESCE(MIN(at),0)*1440 FROM usage_day");
  auto last = number("SELECT COALESCE(MAX(at)+1,0)*1440 FROM usage_day");
  auto minutes = horizon("minute");
  auto hours = horizon("hour");
  for (auto* known : {&first, &last, &minutes, &hours})
    if (!*known) return std::unexpected(known->error());
  // Far enough from the end of the integers to round up to days.
  constexpr std::int64_t kEnd = std::numeric_limits<std::int64_t>::max() / 2 / kMinute;
  from_ = query_.since == 0 ? std::max<std::int64_t>(*first, 0) : std::min(query_.since / kMinute, kEnd);
  to_ = query_.until == 0 ? *last : std::min(query_.until / kMinute + (query_.until % kMinute == 0 ? 0 : 1), kEnd);
  std::int64_t kept = query_.per == UsageGrain::minute ? *minutes : query_.per == UsageGrain::hour ? *hours : 0;
  if (query_.since == 0) from_ = std::max(from_, kept);
  if (from_ < kept && *first < kept) {
    return fail(Errc::out_of_range,
                fmt::format("usage by the {} is kept from {} on: ask from then on, or in larger steps",
                            query_.per == UsageGrain::minute ? "minute" : "hour", base::to_rfc3339(kept * kMinute)));
  }
  for (auto [unit, finest] : {std::pair<std::int64_t, std::int64_t>{60, *minutes}, {24 * 60, *hours}}) {
    if (from_ < finest) from_ = floor_to(from_, unit);
    if (to_ < finest) to_ = ceil_to(to_, unit);
  }
  if (query_.until == 0 && to_ <= from_) to_ = minute_now() + 1;
  to_ = std::max(from_, to_);
  range_ = {from_ * kMinute, to_ * kMinute};
  from_ = std::max(from_, std::min(*first, to_));
  to_ = std::max(from_, std::min(to_, *last));
  return {};
}

// Which series are asked for. False: there are none.
Result<bool> LedgerReader::pick() {
  std::string where;
  for (std::size_t i = 0; i < kDimensions; ++i) {
    if (!query_.only[i]) continue;
    auto find = database_.prepare("SELECT id FROM names WHERE name=?");
    if (!find) return std::unexpected(find.error());
    auto row = find->bind(1, *query_.only[i]).step();
    if (!row) return std::unexpected(row.error());
    if (!*row) return false;
    only_[i] = find->integer(0);
    where += fmt::format("{}{}={}", where.empty() ? "" : " AND ", kUsageDimensions[i].name, only_[i]);
  }
  if (where.empty()) return true;
  auto statement =
      database_.prepare(fmt::format("SELECT id{} FROM series WHERE {}", list("", kUsageDimensions), where));
  if (!statement) return std::unexpected(statement.error());
  while (true) {
    auto row = statement->step();
    if (!row) return std::unexpected(row.error());
    if (!*row) break;
    Series series{statement->integer(0), {}};
    for (std::size_t i = 0; i < kDimensions; ++i) series.names[i] = statement->integer(static_cast<int>(i) + 1);
    picked_.push_back(series);
    if (picked_.size() > kPickedMax) return true;
  }
  few_ = true;
  return !picked_.empty();
}

Result<void> LedgerReader::read() {
  if (auto done = bounds(); !done) return done;
  auto any = pick();
  if (!any) return std::unexpected(any.error());
  if (!*any) return {};
  std::vector<Part> parts;
  split(from_, to_, coarsest(query_.per), parts);
  for (const Part& part : parts) {
    auto sparse = few_ ? worth_seeking(part) : Result<bool>(false);
    if (!sparse) return std::unexpected(sparse.error());
    auto done = *sparse ? seek(part) : scan(part);
    if (!done || enough_) return done;
  }
  return emit();
}

// Looking up the picked series costs less than looking at all rows: judged by how close rows lie at the begin.
Result<bool> LedgerReader::worth_seeking(const Part& part) {
  auto begin = database_.prepare(
      fmt::format("SELECT COUNT(*),MAX(at) FROM (SELECT at FROM usage_{} WHERE at>={} AND at<{} ORDER BY at LIMIT {})",
                  part.table.name, part.from, part.to, kSample));
  if (!begin) return std::unexpected(begin.error());
  if (auto row = begin->step(); !row) return std::unexpected(row.error());
  std::int64_t rows = begin->integer(0);
  std::int64_t steps = begin->integer(1) - part.from + 1;
  return rows == kSample && static_cast<std::int64_t>(picked_.size()) * steps * 2 < rows;
}

// All rows of a part in the order of time.
Result<void> LedgerReader::scan(const Part& part) {
  std::string where;
  for (std::size_t i = 0; i < kDimensions; ++i)
    if (query_.only[i]) where += fmt::format(" AND s.{}={}", kUsageDimensions[i].name, only_[i]);
  auto statement = database_.prepare(
      fmt::format("SELECT u.at{}{} FROM usage_{} u CROSS JOIN series s ON s.id=u.series WHERE u.at>={} AND u.at<{}{} "
                  "ORDER BY u.at",
                  list("s.", kUsageDimensions), list("u.", kUsageColumns), part.table.name, part.from, part.to, where));
  if (!statement) return std::unexpected(statement.error());
  while (!enough_) {
    auto row = statement->step();
    if (!row) return std::unexpected(row.error());
    if (!*row) break;
    Ids names;
    for (std::size_t i = 0; i < kDimensions; ++i) names[i] = statement->integer(static_cast<int>(i) + 1);
    if (auto done = count(part.table, statement->integer(0), names, *statement, kDimensions + 1); !done) return done;
  }
  return {};
}

// The rows of the picked series, each looked up.
Result<void> LedgerReader::seek(const Part& part) {
  auto statement = database_.prepare(fmt::format("SELECT {} FROM usage_{} WHERE at=? AND series=?",
                                                 list("", kUsageColumns).substr(1), part.table.name));
  if (!statement) return std::unexpected(statement.error());
  for (std::int64_t at = part.from; at < part.to; ++at) {
    for (const Series& series : picked_) {
      auto row = statement->bind(1, at).bind(2, series.id).step();
      if (!row) return std::unexpected(row.error());
      if (*row) {
        if (auto done = count(part.table, at, series.names, *statement, 0); !done) return done;
      }
      statement->reset();
      if (enough_) return {};
    }
  }
  return {};
}

Result<void> LedgerReader::count(const Table& table, std::int64_t at, const Ids& names, Statement& row, int first_sum) {
  std::int64_t unit = query_.per == UsageGrain::whole ? std::numeric_limits<std::int64_t>::max()
                                                      : kTables[coarsest(query_.per)].minutes;
  std::int64_t step = floor_to(at * table.minutes, unit);
  if (step != step_) {
    if (auto done = emit(); !done || enough_) return done;
    step_ = step;
  }
  Ids group{};
  for (std::size_t i = 0; i < kDimensions; ++i) group[i] = query_.by[i] ? names[i] : 0;
  UsageSums& sums = groups_[group];
  for (const UsageColumn& column : kUsageColumns) sums.*column.member += row.integer(first_sum++);
  if (groups_.size() > Ledger::kUsageGroupsMax) {
    return fail(Errc::resource_exhausted,
                fmt::format("the answer has more than {} rows for one time: group by less, or name a key, a team, a "
                            "model or a target",
                            Ledger::kUsageGroupsMax));
  }
  return {};
}

std::int64_t LedgerReader::figure(const UsageSums& sums) const {
  switch (query_.order) {
    case UsageOrder::requests: return sums.requests;
    case UsageOrder::tokens: return sums.input_tokens + sums.output_tokens;
    case UsageOrder::cost: return sums.cost_micros;
    case UsageOrder::name: return 0;
  }
  return 0;
}

Result<std::string_view> LedgerReader::name(std::int64_t id) {
  if (auto known = names_.find(id); known != names_.end()) return std::string_view(known->second);
  if (!find_name_) {
    auto statement = database_.prepare("SELECT name FROM names WHERE id=?");
    if (!statement) return std::unexpected(statement.error());
    find_name_.emplace(std::move(*statement));
  }
  if (auto row = find_name_->bind(1, id).step(); !row) return std::unexpected(row.error());
  std::string text = find_name_->text(0);
  find_name_->reset();
  return std::string_view(names_.emplace(id, std::move(text)).first->second);
}

// Hands over the groups of a time step.
Result<void> LedgerReader::emit() {
  struct Shown {
    std::int64_t figure;
    std::array<std::string_view, kDimensions> names;
    const UsageSums* sums;
  };
  std::vector<Shown> rows;
  rows.reserve(groups_.size());
  for (const auto& [ids, sums] : groups_) {
    Shown shown{figure(sums), {}, &sums};
    for (std::size_t i = 0; i < kDimensions; ++i) {
      if (!query_.by[i]) continue;
      auto found = name(ids[i]);
      if (!found) return std::unexpected(found.error());
      shown.names[i] = *found;
    }
    rows.push_back(shown);
  }
  std::sort(rows.begin(), rows.end(), [](const Shown& a, const Shown& b) {
    return a.figure != b.figure ? a.figure > b.figure : a.names < b.names;
  });
  for (const Shown& shown : rows) {
    UsageRow row;
    row.at = query_.per == UsageGrain::whole ? 0 : step_ * kMinute;
    for (std::size_t i = 0; i < kDimensions; ++i) row.*kUsageDimensions[i].member = shown.names[i];
    row.used = *shown.sums;
    enough_ = !take_(row) || ++rows_ == query_.limit;
    if (enough_) break;
  }
  groups_.clear();
  return {};
}

Result<UsageRange> Ledger::query(const UsageQuery& query, const Take& take) {
  if (query.since < 0 || query.until < 0 || query.limit < 0)
    return fail(Errc::invalid_argument, "times and the number of rows are not negative");
  if (query.until != 0 && query.until < query.since)
    return fail(Errc::invalid_argument, "the end of the time asked for is before its begin");
  return LedgerReader(database_, query, take).run();
}

}  // namespace penstock::store
