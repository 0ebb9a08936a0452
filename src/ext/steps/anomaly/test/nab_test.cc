// The detector over the Numenta Anomaly Benchmark, where its files are at hand: $PENSTOCK_SHARED/data/nab or
// ../shared/data/nab beside the checkout. Writes one CSV (timestamp,value,anomaly_score) per data file, in the layout
// NAB's scorer reads, to $PENSTOCK_NAB_OUT or a temporary folder, and checks the result in plain terms.
#include <gtest/gtest.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>

#include "ext/steps/anomaly/detector.h"
#include "json/value.h"

namespace penstock::ext::anomaly {
namespace {

namespace fs = std::filesystem;

constexpr double kAlarm = 0.5;

struct Row {
  std::string time;
  double value = 0;
  double score = 0;
};
using Windows = std::vector<std::pair<std::string, std::string>>;  // first and last timestamp, both inside

struct Tally {
  std::size_t windows = 0;
  std::size_t found = 0;
  std::size_t outside = 0;
  std::size_t false_alarms = 0;
};

fs::path nab_folder() {
  const char* shared = std::getenv("PENSTOCK_SHARED");
  return (shared != nullptr ? fs::path(shared) : fs::path(PENSTOCK_SOURCE_DIR) / ".." / "shared") / "data" / "nab";
}

// "2014-04-01 00:05:00" as UTC.
base::WallMicros parse_time(const std::string& text) {
  int year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0;
  if (std::sscanf(text.c_str(), "%d-%d-%d %d:%d:%d", &year, &month, &day, &hour, &minute, &second) != 6) return 0;
  using namespace std::chrono;
  const sys_days date = std::chrono::year(year) / month / day;
  return duration_cast<microseconds>(date.time_since_epoch() + hours(hour) + minutes(minute) + seconds(second)).count();
}

std::vector<Row> score_file(const fs::path& file) {
  std::vector<Row> rows;
  std::ifstream in(file);
  std::string line;
  std::getline(in, line);
  Detector detector(Settings{});
  while (std::getline(in, line)) {
    const auto comma = line.find(',');
    if (comma == std::string::npos) continue;
    Row row{line.substr(0, comma), std::strtod(line.c_str() + comma + 1, nullptr), 0};
    row.score = detector.score(parse_time(row.time), row.value);
    rows.push_back(std::move(row));
  }
  return rows;
}

void write(const fs::path& file, const std::vector<Row>& rows) {
  fs::create_directories(file.parent_path());
  std::ofstream out(file);
  out << "timestamp,value,anomaly_score\n";
  for (const Row& row : rows) out << row.time << ',' << row.value << ',' << row.score << '\n';
}

std::map<std::string, Windows> load_windows(const fs::path& file) {
  std::ifstream in(file);
  std::stringstream text;
  text << in.rdbuf();
  const auto parsed = json::parse(text.str());
  std::map<std::string, Windows> result;
  if (!parsed || !parsed->is_object()) return result;
  for (const auto& [name, list] : parsed->as_object()) {
    Windows& windows = result[std::string(name)];
    for (const json::Value& window : list.as_array()) {
      const auto at = [&](std::size_t i) { return std::string(window.as_array().at(i).as_string()).substr(0, 19); };
      windows.emplace_back(at(0), at(1));
    }
  }
  return result;
}

// NAB leaves the first 15 % of a file, at most 750 rows, unjudged.
void count(const std::vector<Row>& rows, const Windows& windows, Tally& tally) {
  std::vector<bool> found(windows.size());
  for (std::size_t i = std::min<std::size_t>(rows.size() * 15 / 100, 750); i < rows.size(); ++i) {
    const bool alarm = rows[i].score >= kAlarm;
    bool inside = false;
    for (std::size_t w = 0; w < windows.size(); ++w) {
      if (rows[i].time < windows[w].first || rows[i].time > windows[w].second) continue;
      inside = true;
      if (alarm) found[w] = true;
    }
    if (inside) continue;
    ++tally.outside;
    if (alarm) ++tally.false_alarms;
  }
  tally.windows += windows.size();
  for (const bool hit : found) tally.found += hit ? 1 : 0;
}

TEST(NabCorpus, MostWindowsAreFoundAndFewAlarmsAreFalse) {
  const fs::path nab = nab_folder();
  if (!fs::exists(nab / "data")) GTEST_SKIP() << "no benchmark files in " << nab << "; set PENSTOCK_SHARED";
  const auto windows = load_windows(nab / "labels" / "dev_windows.json");
  if (windows.empty()) GTEST_SKIP() << "no labels/dev_windows.json in " << nab;
  const char* chosen = std::getenv("PENSTOCK_NAB_OUT");
  const fs::path out = chosen != nullptr ? fs::path(chosen) : fs::path(testing::TempDir()) / "penstock_nab";
  Tally tally;
  for (const auto& entry : fs::recursive_directory_iterator(nab / "data")) {
    if (entry.path().extension() != ".csv") continue;
    const fs::path name = fs::relative(entry.path(), nab / "data");
    const std::vector<Row> rows = score_file(entry.path());
    write(out / name, rows);
    if (const auto labelled = windows.find(name.generic_string()); labelled != windows.end()) {
      count(rows, labelled->second, tally);
    }
  }
  const double share = static_cast<double>(tally.found) / static_cast<double>(tally.windows);
  const double rate = 1e4 * static_cast<double>(tally.false_alarms) / static_cast<double>(tally.outside);
  RecordProperty("windows_found", std::to_string(tally.found) + "/" + std::to_string(tally.windows));
  RecordProperty("false_alarms_per_10k", std::to_string(rate));
  std::printf("windows found %zu of %zu, false alarms %.1f per 10,000 points\n", tally.found, tally.windows, rate);
  EXPECT_GE(share, 0.7);
  EXPECT_LE(rate, 6);
}

}  // namespace
}  // namespace penstock::ext::anomaly
