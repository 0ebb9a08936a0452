#include "ext/sources/host/probe.h"

#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <map>
#include <memory>
#include <vector>

namespace penstock::ext {
namespace {

namespace fs = std::filesystem;

// The unit of /proc/diskstats, whatever the disk's own sectors are.
constexpr std::uint64_t kSectorBytes = 512;
// More than any of these files has; a stranger file cannot eat the memory.
constexpr std::size_t kFileBytesMax = 1 << 20;

using Words = std::vector<std::string_view>;

Words words_of(std::string_view line) {
  Words words;
  while (true) {
    const std::size_t begin = line.find_first_not_of(" \t");
    if (begin == std::string_view::npos) return words;
    line.remove_prefix(begin);
    const std::size_t end = std::min(line.find_first_of(" \t"), line.size());
    words.push_back(line.substr(0, end));
    line.remove_prefix(end);
  }
}

template <class Visit>
void for_each_line(std::string_view text, Visit visit) {
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    visit(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
}

template <class Number>
std::optional<Number> number(std::string_view text) {
  Number value{};
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc()) return std::nullopt;
  return value;
}

std::uint64_t count(std::string_view text) { return number<std::uint64_t>(text).value_or(0); }

double share(std::uint64_t part, std::uint64_t whole) {
  return 100.0 * static_cast<double>(part) / static_cast<double>(whole);
}

// One decimal is what these readings are worth.
double rounded(double value) { return std::round(value * 10) / 10; }

std::uint64_t growth(std::uint64_t before, std::uint64_t now) { return now > before ? now - before : 0; }

// Millidegrees of one sensor file, when plausible: broken sensors report 0 K or 255 degrees.
std::optional<double> degrees(std::string_view text) {
  const auto milli = number<std::int64_t>(text);
  if (!milli || *milli < -50'000 || *milli > 150'000 || *milli == 0) return std::nullopt;
  return static_cast<double>(*milli) / 1000;
}

}  // namespace

std::optional<CpuTicks> parse_cpu(std::string_view stat) {
  const Words words = words_of(stat.substr(0, stat.find('\n')));
  // cpu user nice system idle iowait irq softirq steal guest guest_nice; guest time is part of user time already.
  if (words.size() < 5 || words[0] != "cpu") return std::nullopt;
  CpuTicks cpu;
  for (std::size_t i = 1; i < std::min<std::size_t>(words.size(), 9); ++i) cpu.total += count(words[i]);
  if (words.size() > 5) cpu.iowait = count(words[5]);
  cpu.busy = cpu.total - std::min(cpu.total, count(words[4]) + cpu.iowait);
  return cpu;
}

std::optional<ByteCounts> parse_disks(std::string_view diskstats,
                                      const std::function<bool(std::string_view)>& is_disk) {
  std::optional<ByteCounts> sum;
  for_each_line(diskstats, [&](std::string_view line) {
    const Words words = words_of(line);
    // major minor name reads merged sectors_read ms writes merged sectors_written ...
    if (words.size() < 10 || !is_disk(words[2])) return;
    if (!sum) sum.emplace();
    sum->in += count(words[5]) * kSectorBytes;
    sum->out += count(words[9]) * kSectorBytes;
  });
  return sum;
}

std::optional<ByteCounts> parse_network(std::string_view net_dev) {
  std::optional<ByteCounts> sum;
  for_each_line(net_dev, [&](std::string_view line) {
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos) return;
    const Words name = words_of(line.substr(0, colon));
    const Words words = words_of(line.substr(colon + 1));
    if (name.size() != 1 || name[0] == "lo" || words.size() < 9) return;
    if (!sum) sum.emplace();
    sum->in += count(words[0]);
    sum->out += count(words[8]);
  });
  return sum;
}

HostProbe::HostProbe(std::string root, std::string disk_path)
    : root_(std::move(root)), disk_path_(std::move(disk_path)) {}

std::string HostProbe::file(std::string_view path) const {
  std::string text;
  std::unique_ptr<std::FILE, int (*)(std::FILE*)> in(std::fopen((root_ + std::string(path)).c_str(), "re"),
                                                     std::fclose);
  if (!in) return text;
  std::array<char, 4096> part;
  std::size_t size = 0;
  while (text.size() < kFileBytesMax && (size = std::fread(part.data(), 1, part.size(), in.get())) > 0) {
    text.append(part.data(), size);
  }
  return text;
}

std::string HostProbe::hostname() const {
  const std::string text = file("/proc/sys/kernel/hostname");
  const Words words = words_of(std::string_view(text).substr(0, text.find('\n')));
  if (!words.empty()) return std::string(words[0]);
  std::array<char, 256> name{};
  return gethostname(name.data(), name.size() - 1) == 0 && name[0] != '\0' ? std::string(name.data()) : "host";
}

// Whole disks of hardware: no partitions (they have no folder in /sys/block), nothing that is memory or stands on
// another disk that is counted already.
bool HostProbe::is_disk(std::string_view name) const {
  for (std::string_view layered : {"loop", "ram", "zram", "dm-", "md"}) {
    if (name.starts_with(layered)) return false;
  }
  std::error_code error;
  return fs::exists(root_ + "/sys/block/" + std::string(name), error);
}

HostCounters HostProbe::read_counters(std::string_view stat) const {
  return {.cpu = parse_cpu(stat),
          .disk = parse_disks(file("/proc/diskstats"), [this](std::string_view name) { return is_disk(name); }),
          .network = parse_network(file("/proc/net/dev"))};
}

void HostProbe::read(base::SteadyTime now, ingest::Sample& sample) {
  const std::string stat = file("/proc/stat");
  HostCounters counters = read_counters(stat);
  add_load(sample);
  if (last_at_ && now > *last_at_) {
    add_rates(counters, std::chrono::duration<double>(now - *last_at_).count(), sample);
  }
  add_memory(sample);
  add_disk_space(sample);
  add_temperature(sample);
  for_each_line(stat, [&](std::string_view line) {
    const Words words = words_of(line);
    if (words.size() == 2 && words[0] == "procs_running") {
      sample.set("processes_running", static_cast<std::int64_t>(count(words[1])));
    }
  });
  last_ = counters;
  last_at_ = now;
}

void HostProbe::add_load(ingest::Sample& sample) const {
  if (auto load = number<double>(file("/proc/loadavg"))) sample.set("load1", *load);
  if (auto uptime = number<double>(file("/proc/uptime"))) sample.set("uptime", *uptime, "s");
}

void HostProbe::add_memory(ingest::Sample& sample) const {
  std::map<std::string, std::uint64_t, std::less<>> bytes;
  for_each_line(file("/proc/meminfo"), [&](std::string_view line) {
    const Words words = words_of(line);
    if (words.size() == 3 && words[2] == "kB") bytes[std::string(words[0])] = count(words[1]) * 1024;
  });
  const auto total = bytes.find("MemTotal:"), available = bytes.find("MemAvailable:");
  if (total != bytes.end() && available != bytes.end() && total->second > 0) {
    sample.set("memory_used", rounded(share(growth(available->second, total->second), total->second)), "%");
    sample.set("memory_available", static_cast<std::int64_t>(available->second), "B");
  }
  const auto swap = bytes.find("SwapTotal:"), swap_free = bytes.find("SwapFree:");
  if (swap != bytes.end() && swap_free != bytes.end() && swap->second > 0) {
    sample.set("swap_used", rounded(share(growth(swap_free->second, swap->second), swap->second)), "%");
  }
}

void HostProbe::add_disk_space(ingest::Sample& sample) const {
  struct statvfs space{};
  if (statvfs((root_ + disk_path_).c_str(), &space) != 0 || space.f_blocks == 0) return;
  sample.set("disk_free", rounded(share(space.f_bavail, space.f_blocks)), "%");
}

// The hottest sensor: the one that throttles.
void HostProbe::add_temperature(ingest::Sample& sample) const {
  std::optional<double> hottest;
  const auto look = [&](const std::string& folder, std::string_view prefix, std::string_view name_start,
                        std::string_view name_end) {
    std::error_code error;
    for (fs::directory_iterator zone(root_ + folder, error), end; !error && zone != end; zone.increment(error)) {
      if (!zone->path().filename().string().starts_with(prefix)) continue;
      std::error_code inner;
      for (fs::directory_iterator sensor(zone->path(), inner), none; !inner && sensor != none;
           sensor.increment(inner)) {
        const std::string name = sensor->path().filename().string();
        if (!name.starts_with(name_start) || !name.ends_with(name_end)) continue;
        const auto value = degrees(file(folder + "/" + zone->path().filename().string() + "/" + name));
        if (value && (!hottest || *value > *hottest)) hottest = value;
      }
    }
  };
  look("/sys/class/thermal", "thermal_zone", "temp", "temp");
  look("/sys/class/hwmon", "hwmon", "temp", "_input");
  if (hottest) sample.set("temperature", rounded(*hottest), "degC");
}

void HostProbe::add_rates(const HostCounters& counters, double seconds, ingest::Sample& sample) const {
  if (counters.cpu && last_.cpu) {
    const std::uint64_t total = growth(last_.cpu->total, counters.cpu->total);
    if (total > 0) {
      sample.set("cpu", rounded(std::min(100.0, share(growth(last_.cpu->busy, counters.cpu->busy), total))), "%");
      sample.set("cpu_iowait", rounded(std::min(100.0, share(growth(last_.cpu->iowait, counters.cpu->iowait), total))),
                 "%");
    }
  }
  const auto rates = [&](const auto& before, const auto& after, std::string_view in, std::string_view out) {
    if (!before || !after) return;
    sample.set(in, std::round(static_cast<double>(growth(before->in, after->in)) / seconds), "B/s");
    sample.set(out, std::round(static_cast<double>(growth(before->out, after->out)) / seconds), "B/s");
  };
  rates(last_.disk, counters.disk, "disk_read", "disk_write");
  rates(last_.network, counters.network, "network_in", "network_out");
}

}  // namespace penstock::ext
