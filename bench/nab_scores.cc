// Scores every series of the Numenta Anomaly Benchmark with the detector of the step `anomaly`, each with the default
// settings: `build/nab_scores DATA OUT` writes one CSV (timestamp,value,anomaly_score) per file of DATA. bench/nab.py
// runs it and scores what it wrote.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "ext/steps/anomaly/detector.h"

namespace {

using namespace penstock;
namespace fs = std::filesystem;

// "2014-04-01 00:05:00" as UTC.
base::WallMicros parse_time(const std::string& text) {
  int year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0;
  if (std::sscanf(text.c_str(), "%d-%d-%d %d:%d:%d", &year, &month, &day, &hour, &minute, &second) != 6) return 0;
  using namespace std::chrono;
  const sys_days date = std::chrono::year(year) / month / day;
  return duration_cast<microseconds>(date.time_since_epoch() + hours(hour) + minutes(minute) + seconds(second)).count();
}

std::size_t score(const fs::path& file, const fs::path& to) {
  fs::create_directories(to.parent_path());
  std::ifstream in(file);
  std::ofstream out(to);
  std::string line;
  std::getline(in, line);
  out << "timestamp,value,anomaly_score\n";
  ext::anomaly::Detector detector(ext::anomaly::Settings{});
  std::size_t rows = 0;
  while (std::getline(in, line)) {
    const auto comma = line.find(',');
    if (comma == std::string::npos) continue;
    const std::string time = line.substr(0, comma);
    const double value = std::strtod(line.c_str() + comma + 1, nullptr);
    out << time << ',' << value << ',' << fmt::format("{}", detector.score(parse_time(time), value)) << '\n';
    ++rows;
  }
  return rows;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3 || !fs::is_directory(argv[1])) {
    fmt::print(stderr, "usage: nab_scores DATA OUT\n");
    return 2;
  }
  std::size_t files = 0;
  std::size_t rows = 0;
  for (const auto& entry : fs::recursive_directory_iterator(argv[1])) {
    if (entry.path().extension() != ".csv") continue;
    rows += score(entry.path(), fs::path(argv[2]) / fs::relative(entry.path(), argv[1]));
    ++files;
  }
  fmt::print("{} files, {} values\n", files, rows);
  return 0;
}
