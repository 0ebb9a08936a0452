#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>

#include "ext/sources/host/host_source.h"
#include "ext/sources/host/probe.h"

namespace penstock::ext {
namespace {

using namespace std::chrono_literals;
namespace fs = std::filesystem;

// A made-up machine.
class Tree {
 public:
  Tree() {
    std::string path = (fs::temp_directory_path() / "penstock-host-XXXXXX").string();
    if (mkdtemp(path.data()) != nullptr) root_ = path;
  }
  ~Tree() {
    std::error_code ignored;
    fs::remove_all(root_, ignored);
  }
  void write(const std::string& path, const std::string& text) const {
    fs::create_directories(fs::path(root_ + path).parent_path());
    std::ofstream(root_ + path) << text;
  }
  const std::string& root() const { return root_; }

 private:
  std::string root_;
};

double real(const ingest::Sample& sample, std::string_view name) {
  const ingest::Field* field = sample.find(name);
  if (field == nullptr || !std::holds_alternative<double>(field->value)) {
    ADD_FAILURE() << name << " is no number of this sample";
    return -1;
  }
  return std::get<double>(field->value);
}

std::string unit(const ingest::Sample& sample, std::string_view name) {
  const ingest::Field* field = sample.find(name);
  return field == nullptr ? "absent" : field->unit;
}

void first_state(const Tree& tree) {
  tree.write("/proc/sys/kernel/hostname", "edge-7\n");
  tree.write("/proc/loadavg", "1.25 0.9 0.5 2/300 1234\n");
  tree.write("/proc/uptime", "3600.5 7000.0\n");
  tree.write("/proc/stat", "cpu  100 0 100 700 100 0 0 0 0 0\ncpu0 1 2 3 4\nprocs_running 3\n");
  tree.write("/proc/meminfo",
             "MemTotal:  1000 kB\nMemFree: 1 kB\nMemAvailable:  250 kB\nSwapTotal: 200 kB\nSwapFree: 150 kB\n");
  tree.write("/proc/diskstats",
             "8 0 sda 1 0 1000 0 1 0 2000 0\n8 1 sda1 1 0 1000 0 1 0 2000 0\n7 0 loop0 1 0 9 0 1 0 9 0\n");
  tree.write("/sys/block/sda/size", "1");
  tree.write("/proc/net/dev",
             "Inter-|   Receive\n face |bytes\n    lo: 9 0 0 0 0 0 0 0 9 0\n  eth0: 1000 1 0 0 0 0 0 0 500 1\n"
             " wlan0:2000 1 0 0 0 0 0 0 0 1\n");
  tree.write("/sys/class/thermal/thermal_zone0/temp", "41500\n");
  tree.write("/sys/class/hwmon/hwmon0/temp1_input", "62000\n");
  tree.write("/sys/class/hwmon/hwmon0/temp2_input", "255000\n");
}

TEST(HostProbe, ReadsAMadeUpMachine) {
  Tree tree;
  first_state(tree);
  HostProbe probe(tree.root(), "/");
  base::FakeClock clock;
  ingest::Sample before;
  probe.read(clock.steady(), before);
  EXPECT_EQ(before.find("cpu"), nullptr);
  EXPECT_EQ(before.find("disk_read"), nullptr);

  clock.advance(2s);
  // 100 ticks more: 30 busy, 10 waiting for the disk.
  tree.write("/proc/stat", "cpu  120 0 110 760 110 0 0 0 50 0\nprocs_running 3\n");
  tree.write("/proc/diskstats", "8 0 sda 1 0 1004 0 1 0 2040 0\n8 1 sda1 1 0 5000 0 1 0 5000 0\n");
  tree.write("/proc/net/dev", "  eth0: 3000 1 0 0 0 0 0 0 1500 1\n wlan0:2000 1 0 0 0 0 0 0 0 1\n");
  ingest::Sample sample;
  probe.read(clock.steady(), sample);

  EXPECT_EQ(probe.hostname(), "edge-7");
  EXPECT_DOUBLE_EQ(real(sample, "load1"), 1.25);
  EXPECT_DOUBLE_EQ(real(sample, "uptime"), 3600.5);
  EXPECT_DOUBLE_EQ(real(sample, "cpu"), 30);
  EXPECT_DOUBLE_EQ(real(sample, "cpu_iowait"), 10);
  EXPECT_DOUBLE_EQ(real(sample, "memory_used"), 75);
  EXPECT_EQ(std::get<std::int64_t>(sample.find("memory_available")->value), 250 * 1024);
  EXPECT_DOUBLE_EQ(real(sample, "swap_used"), 25);
  EXPECT_DOUBLE_EQ(real(sample, "disk_read"), 1024);
  EXPECT_DOUBLE_EQ(real(sample, "disk_write"), 40 * 512 / 2);
  EXPECT_DOUBLE_EQ(real(sample, "network_in"), 1000);
  EXPECT_DOUBLE_EQ(real(sample, "network_out"), 500);
  EXPECT_DOUBLE_EQ(real(sample, "temperature"), 62);
  EXPECT_EQ(std::get<std::int64_t>(sample.find("processes_running")->value), 3);
  EXPECT_GE(real(sample, "disk_free"), 0);
  EXPECT_LE(real(sample, "disk_free"), 100);
  EXPECT_EQ(unit(sample, "cpu"), "%");
  EXPECT_EQ(unit(sample, "disk_read"), "B/s");
  EXPECT_EQ(unit(sample, "temperature"), "degC");
  EXPECT_EQ(unit(sample, "memory_available"), "B");
}

TEST(HostProbe, LeavesOutWhatTheMachineDoesNotOffer) {
  Tree tree;
  HostProbe probe(tree.root(), "/no/such/folder");
  base::FakeClock clock;
  for (int i = 0; i < 2; ++i) {
    ingest::Sample sample;
    probe.read(clock.steady(), sample);
    EXPECT_TRUE(sample.fields.empty());
    clock.advance(1s);
  }
}

TEST(HostProbe, LivesWithDamagedFiles) {
  Tree tree;
  for (const char* path : {"/proc/stat", "/proc/meminfo", "/proc/diskstats", "/proc/net/dev", "/proc/loadavg",
                           "/proc/uptime", "/sys/class/thermal/thermal_zone0/temp"}) {
    for (const char* text : {"", "\n\n", "cpu", "cpu x y z w v\nMemTotal: kB\n:\n a:b\n", "\xff\xfe:::: 1 2 3"}) {
      tree.write(path, text);
      HostProbe probe(tree.root(), "/");
      ingest::Sample sample;
      probe.read(base::SteadyTime(1s), sample);
      probe.read(base::SteadyTime(2s), sample);
      EXPECT_EQ(sample.find("temperature"), nullptr);
    }
  }
}

TEST(HostProbe, TakesACounterThatWentBackAsNoGrowth) {
  Tree tree;
  first_state(tree);
  HostProbe probe(tree.root(), "/");
  ingest::Sample sample;
  probe.read(base::SteadyTime(1s), sample);
  tree.write("/proc/net/dev", "  eth0: 10 1 0 0 0 0 0 0 5 1\n");
  probe.read(base::SteadyTime(2s), sample);
  EXPECT_DOUBLE_EQ(real(sample, "network_in"), 0);
}

TEST(HostSource, EmitsOneSamplePerPeriodNamedAfterTheHost) {
  Tree tree;
  first_state(tree);
  auto document = config::Document::parse("host: {}\nevery: 100ms\n", "t.yaml");
  ASSERT_TRUE(document);
  config::Map map = document->root().map();
  ingest::Context context;
  context.clock = &base::system_clock();
  auto source = make_host_source(map.get("host"), map, context, tree.root());
  map.done();
  ASSERT_EQ(document->report(), "");
  rt::Loop loop;
  std::vector<ingest::Sample> got;
  bool take = true;
  const base::WallMicros begin = base::system_clock().wall();
  ASSERT_TRUE(source->start(loop, ingest::Emit([&](std::vector<ingest::Sample> samples) {
                              for (auto& sample : samples) got.push_back(std::move(sample));
                              if (got.size() == 2) loop.stop();
                              return std::exchange(take, false);
                            })));
  rt::Timer deadline(loop);
  deadline.arm_in(5s, [&] { loop.stop(); });
  loop.run();
  EXPECT_TRUE(source->status().connected);
  EXPECT_EQ(source->status().dropped, 1U);
  source->stop();
  ASSERT_EQ(got.size(), 2U);
  EXPECT_EQ(got[1].device, "edge-7");
  // The first may be late, the second is not.
  EXPECT_GE(got[1].event_time - begin, 190'000);
  source->accept("application/json", "{}", [](Result<std::size_t> taken) { EXPECT_FALSE(taken); });
}

TEST(HostSource, ReportsWhatCannotBe) {
  auto document = config::Document::parse("host: { disk: var, dsk: 1 }\nevery: 1ms\n", "t.yaml");
  ASSERT_TRUE(document);
  config::Map map = document->root().map();
  ingest::Context context;
  context.clock = &base::system_clock();
  make_host_source(map.get("host"), map, context, "");
  EXPECT_EQ(document->problems().size(), 3U) << document->report();
}

}  // namespace
}  // namespace penstock::ext
