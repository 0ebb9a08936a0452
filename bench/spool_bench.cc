// What the durable log costs beside SQLite doing the same: entries stored with one to 256 appends under way, each
// stored when it is synced, and read again.
//   spool_bench FOLDER [SECONDS]     seconds per row, 3 unless told
// SQLite: WAL and synchronous=FULL, a table (sequence INTEGER PRIMARY KEY, time, priority, bytes); what waits goes into
// one transaction, as the log's group commit does.
#include <fmt/format.h>
#include <sqlite3.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <mutex>

#include "base/process.h"
#include "spool/spool.h"

namespace {

using namespace penstock;
using Clock = std::chrono::steady_clock;

constexpr std::size_t kReadBytes = 64 << 10U;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

double cpu_seconds() {
  rusage used{};
  getrusage(RUSAGE_SELF, &used);
  auto of = [](const timeval& t) { return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6; };
  return of(used.ru_utime) + of(used.ru_stime);
}

// A sample as a sink sends it: about 160 bytes, of which the measured values differ.
std::string sample(std::uint64_t number) {
  std::uint64_t random = number * 0x9E3779B97F4A7C15U;
  random ^= random >> 29U;
  return fmt::format(R"({{"device":"press-{:02}","ts":{},"temperature":{}.{:03},"vibration":0.{:05},"pressure":{},)"
                     R"("state":"running","quality":"good","line":"hall-3/line-1","shift":{}}})",
                     random % 20, 1'790'000'000'000 + number * 10 + random % 7, 60 + random % 9, random / 16 % 1000,
                     random / 1024 % 100'000, 1000 + random / 65536 % 97, number / 100'000 % 3);
}

[[noreturn]] void die(const std::string& why) {
  fmt::print(stderr, "{}\n", why);
  std::exit(1);
}

std::uint64_t bytes_in(const std::string& folder) {
  std::uint64_t bytes = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    if (entry.is_regular_file()) bytes += entry.file_size();
  }
  return bytes;
}

struct Row {
  std::string name;
  std::uint64_t records = 0;
  double seconds = 0;
  double cpu = 0;
  std::vector<double> waits;  // milliseconds until an append was stored
  std::uint64_t bytes = 0;    // on the disk afterwards
};

void print(Row row) {
  auto records = static_cast<double>(row.records);
  auto wait = [&](double share) {
    if (row.waits.empty()) return std::string("–");
    auto at = static_cast<std::ptrdiff_t>(share * static_cast<double>(row.waits.size() - 1));
    std::nth_element(row.waits.begin(), row.waits.begin() + at, row.waits.end());
    return fmt::format("{:.2f}", row.waits[static_cast<std::size_t>(at)]);
  };
  fmt::print("| {} | {:.0f} | {:.2f} | {} | {} | {:.0f} |\n", row.name, records / row.seconds, row.cpu * 1e6 / records,
             wait(0.5), wait(0.99), static_cast<double>(row.bytes) / records);
  std::fflush(stdout);
}

// ---- The log

spool::Options log_options(const std::string& folder) {
  spool::Options options;
  options.folder = folder;
  options.cursors = {"sink"};
  options.bytes_max = std::uint64_t{16} << 30U;
  return options;
}

std::shared_ptr<spool::Spool> open_log(const spool::Options& options) {
  auto opened = spool::Spool::open(options, spool::local_storage(), base::system_clock());
  if (!opened) die(opened.error().detail);
  return *opened;
}

// Keeps `under_way` appends of `each` samples waiting for their sync.
Row append_log(std::string name, const spool::Options& options, int under_way, int each, double seconds) {
  std::filesystem::remove_all(options.folder);
  auto log = open_log(options);
  Row row{std::move(name), 0, 0, 0, {}, 0};
  std::mutex mutex;
  std::condition_variable changed;
  int waiting = 0;
  std::uint64_t number = 0;
  auto begun = Clock::now();
  double cpu = cpu_seconds();
  while (seconds_since(begun) < seconds) {
    {
      std::unique_lock lock(mutex);
      changed.wait(lock, [&] { return waiting < under_way; });
      ++waiting;
    }
    spool::Spool::Entries entries;
    for (int i = 0; i < each; ++i) entries.push_back({0, 0, 1, sample(number++)});
    log->append(std::move(entries), [&, at = Clock::now()](auto stored) {
      if (!stored) die(stored.error().detail);
      std::lock_guard lock(mutex);
      row.waits.push_back(seconds_since(at) * 1000);
      --waiting;
      changed.notify_one();
    });
  }
  log->close();
  row.seconds = seconds_since(begun);
  row.cpu = cpu_seconds() - cpu;
  row.records = number;
  row.bytes = bytes_in(options.folder);
  return row;
}

Row replay_log(std::string name, const spool::Options& options) {
  auto log = open_log(options);
  Row row{std::move(name), 0, 0, 0, {}, bytes_in(options.folder)};
  std::mutex mutex;
  std::condition_variable changed;
  std::uint64_t after = 0;
  auto begun = Clock::now();
  double cpu = cpu_seconds();
  for (bool more = true; more;) {
    bool answered = false;
    log->read(after, kReadBytes, [&](auto entries) {
      if (!entries) die(entries.error().detail);
      std::lock_guard lock(mutex);
      more = !entries->empty();
      row.records += entries->size();
      if (more) after = entries->back().sequence;
      answered = true;
      changed.notify_one();
    });
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return answered; });
    log->acknowledge("sink", after);
  }
  row.seconds = seconds_since(begun);
  row.cpu = cpu_seconds() - cpu;
  return row;
}

// ---- SQLite

void must(sqlite3* database, int code) {
  if (code != SQLITE_OK && code != SQLITE_DONE && code != SQLITE_ROW) die(sqlite3_errmsg(database));
}

sqlite3* open_sqlite(const std::string& folder) {
  std::filesystem::create_directories(folder);
  sqlite3* database = nullptr;
  must(database, sqlite3_open((folder + "/queue.db").c_str(), &database));
  for (const char* sql :
       {"PRAGMA journal_mode=WAL", "PRAGMA synchronous=FULL",
        "CREATE TABLE IF NOT EXISTS queue (sequence INTEGER PRIMARY KEY, time INTEGER, priority INTEGER, "
        "bytes BLOB)"})
    must(database, sqlite3_exec(database, sql, nullptr, nullptr, nullptr));
  return database;
}

void insert(sqlite3* database, sqlite3_stmt* statement, std::uint64_t number) {
  std::string bytes = sample(number);
  sqlite3_bind_int64(statement, 1, 1'790'000'000'000'000);
  sqlite3_bind_int(statement, 2, 1);
  sqlite3_bind_blob(statement, 3, bytes.data(), static_cast<int>(bytes.size()), SQLITE_STATIC);
  must(database, sqlite3_step(statement));
  sqlite3_reset(statement);
}

Row append_sqlite(std::string name, const std::string& folder, int each, double seconds) {
  std::filesystem::remove_all(folder);
  sqlite3* database = open_sqlite(folder);
  sqlite3_stmt* statement = nullptr;
  must(database, sqlite3_prepare_v2(database, "INSERT INTO queue (time, priority, bytes) VALUES (?,?,?)", -1,
                                    &statement, nullptr));
  Row row{std::move(name), 0, 0, 0, {}, 0};
  auto begun = Clock::now();
  double cpu = cpu_seconds();
  while (seconds_since(begun) < seconds) {
    auto at = Clock::now();
    must(database, sqlite3_exec(database, "BEGIN", nullptr, nullptr, nullptr));
    for (int i = 0; i < each; ++i) insert(database, statement, row.records++);
    must(database, sqlite3_exec(database, "COMMIT", nullptr, nullptr, nullptr));
    row.waits.push_back(seconds_since(at) * 1000);
  }
  row.seconds = seconds_since(begun);
  row.cpu = cpu_seconds() - cpu;
  sqlite3_finalize(statement);
  sqlite3_close(database);
  row.bytes = bytes_in(folder);
  return row;
}

// Reads as much at a time as the log is asked for, and deletes it.
Row replay_sqlite(std::string name, const std::string& folder) {
  Row row{std::move(name), 0, 0, 0, {}, bytes_in(folder)};
  sqlite3* database = open_sqlite(folder);
  sqlite3_stmt* select = nullptr;
  sqlite3_stmt* remove = nullptr;
  must(database,
       sqlite3_prepare_v2(database,
                          "SELECT sequence, time, priority, bytes FROM queue WHERE sequence > ? ORDER BY sequence "
                          "LIMIT 400",
                          -1, &select, nullptr));
  must(database, sqlite3_prepare_v2(database, "DELETE FROM queue WHERE sequence <= ?", -1, &remove, nullptr));
  auto begun = Clock::now();
  double cpu = cpu_seconds();
  sqlite3_int64 after = 0;
  std::size_t read_bytes = 0;
  for (std::uint64_t before = UINT64_MAX; before != row.records;) {
    before = row.records;
    sqlite3_bind_int64(select, 1, after);
    while (sqlite3_step(select) == SQLITE_ROW) {
      after = sqlite3_column_int64(select, 0);
      read_bytes += std::string(static_cast<const char*>(sqlite3_column_blob(select, 3)),
                                static_cast<std::size_t>(sqlite3_column_bytes(select, 3)))
                        .size();
      ++row.records;
    }
    sqlite3_reset(select);
    sqlite3_bind_int64(remove, 1, after);
    must(database, sqlite3_step(remove));
    sqlite3_reset(remove);
  }
  if (read_bytes == 0) die("nothing was read");
  row.seconds = seconds_since(begun);
  row.cpu = cpu_seconds() - cpu;
  sqlite3_finalize(select);
  sqlite3_finalize(remove);
  sqlite3_close(database);
  return row;
}

std::string load_average() {
  std::ifstream in("/proc/loadavg");
  std::string words;
  std::getline(in, words);
  return words.substr(0, words.find(' '));
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) die("usage: spool_bench FOLDER [SECONDS]");
  std::string folder = std::string(argv[1]) + "/spool_bench";
  double seconds = argc > 2 ? std::atof(argv[2]) : 3;
  std::string log = folder + "/log";
  std::string sqlite = folder + "/sqlite";
  fmt::print("Load average before: {}. Entries of {} bytes.\n\n", load_average(), sample(1000).size());
  fmt::print(
      "| what | entries/s | CPU µs/entry | stored after, p50 ms | p99 ms | bytes/entry |\n|---|---|---|---|---|---|\n");
  for (int under_way : {1, 16, 256})
    print(
        append_log(fmt::format("log, {} appends of 1 under way", under_way), log_options(log), under_way, 1, seconds));
  for (int each : {16, 256}) {
    for (int under_way : {2, 16})
      print(append_log(fmt::format("log, {} appends of {} under way", under_way, each), log_options(log), under_way,
                       each, seconds));
  }
  print(replay_log("log, replay", log_options(log)));
  for (int each : {1, 16, 256})
    print(append_sqlite(fmt::format("SQLite, transactions of {}", each), sqlite, each, seconds));
  print(replay_sqlite("SQLite, replay and delete", sqlite));

  spool::Options other = log_options(log);
  other.compress = false;
  print(append_log("log, not compressed, 16 appends of 256", other, 16, 256, seconds));
  print(replay_log("log, not compressed, replay", other));
  other = log_options(log);
  other.key = base::Secret(std::string(32, 'k'));
  print(append_log("log, encrypted, 16 appends of 256", other, 16, 256, seconds));
  print(replay_log("log, encrypted, replay", other));
  other = log_options(log);
  other.sync = spool::Sync::interval;
  print(append_log("log, synced every 100 ms, 16 appends of 256", other, 16, 256, seconds));
  other.sync = spool::Sync::none;
  print(append_log("log, never synced, 16 appends of 256", other, 16, 256, seconds));
  std::filesystem::remove_all(folder);
  fmt::print("\nResident memory at the end: {:.1f} MB. Load average after: {}.\n",
             static_cast<double>(base::resident_bytes()) / 1e6, load_average());
}
