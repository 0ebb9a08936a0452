// Reads this machine's own state from /proc and /sys (proc(5), the kernel's iostats.rst and hwmon sysfs-interface).
// What a machine does not offer is left out; nothing here fails.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "ingest/sample.h"

namespace penstock::ext {

// Ever-growing counters, whose growth between two readings is what counts.
struct CpuTicks {
  std::uint64_t total = 0, busy = 0, iowait = 0;
};
struct ByteCounts {
  std::uint64_t in = 0, out = 0;  // read or received, written or sent
};
struct HostCounters {
  std::optional<CpuTicks> cpu;
  std::optional<ByteCounts> disk;
  std::optional<ByteCounts> network;
};

// Parsers of single files, by content. Nothing when the content is not what it should be.
std::optional<CpuTicks> parse_cpu(std::string_view stat);
// Whole disks only: `is_disk` says which names are.
std::optional<ByteCounts> parse_disks(std::string_view diskstats,
                                      const std::function<bool(std::string_view name)>& is_disk);
std::optional<ByteCounts> parse_network(std::string_view net_dev);

class HostProbe {
 public:
  // `root` stands before every path ("" for the machine itself); `disk_path` is the directory whose file system's free
  // space is told.
  HostProbe(std::string root, std::string disk_path);

  std::string hostname() const;
  // Adds the fields. Rates and shares need a reading before; the first call has none of them. `now` must not go back.
  void read(base::SteadyTime now, ingest::Sample& sample);

 private:
  std::string file(std::string_view path) const;
  void add_load(ingest::Sample& sample) const;
  void add_memory(ingest::Sample& sample) const;
  void add_disk_space(ingest::Sample& sample) const;
  void add_temperature(ingest::Sample& sample) const;
  void add_rates(const HostCounters& counters, double seconds, ingest::Sample& sample) const;
  HostCounters read_counters(std::string_view stat) const;
  bool is_disk(std::string_view name) const;

  std::string root_;
  std::string disk_path_;
  HostCounters last_;
  std::optional<base::SteadyTime> last_at_;
};

}  // namespace penstock::ext
