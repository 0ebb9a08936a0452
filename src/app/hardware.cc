#include "app/hardware.h"

#include <sched.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <fstream>
#include <set>
#include <sstream>

#include "app/admin_text.h"
#include "infer/runtime.h"

namespace penstock::app {
namespace {

using json::Array;
using json::Object;

// Instructions that make inference faster, as /proc/cpuinfo names them on x86 and ARM.
constexpr std::array<std::string_view, 21> kInstructions{
    "sse4_1",   "sse4_2",   "avx",      "f16c",     "fma",         "avx2",        "avx_vnni",
    "avx512f",  "avx512bw", "avx512vl", "amx_tile", "avx512_vnni", "avx512_bf16", "amx_int8",
    "amx_bf16", "neon",     "asimd",    "asimdhp",  "asimddp",     "i8mm",        "sve"};

std::string value_of(const std::string& line) {
  std::size_t colon = line.find(':');
  std::size_t from = colon == std::string::npos ? colon : line.find_first_not_of(" \t", colon + 1);
  return from == std::string::npos ? std::string() : line.substr(from);
}

void add_processor(Object& o) {
  std::ifstream file("/proc/cpuinfo");
  std::string name;
  std::set<std::string, std::less<>> known;
  for (std::string line; std::getline(file, line);) {
    if (name.empty() && line.starts_with("model name")) name = value_of(line);
    if (!known.empty() || (!line.starts_with("flags") && !line.starts_with("Features"))) continue;
    std::istringstream words(value_of(line));
    for (std::string word; words >> word;) known.insert(word);
  }
  std::vector<std::string> instructions;
  for (std::string_view one : kInstructions) {
    if (known.contains(one)) instructions.emplace_back(one);
  }
  o["processor"] = text(name);
  o["instructions"] = texts(instructions);
}

// Those this process may run on.
int usable_cores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  return ::sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : 1;
}

// "MemTotal: 16316412 kB"
std::uint64_t memory_figure(std::string_view name) {
  std::ifstream file("/proc/meminfo");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with(name)) return std::strtoull(value_of(line).c_str(), nullptr, 10) * 1024;
  }
  return 0;
}

Array accelerators(const base::Registry& registry) {
  Array found;
  for (const std::string& name : registry.names<infer::RuntimeFactory>()) {
    const infer::RuntimeFactory* runtime = registry.find<infer::RuntimeFactory>(name);
    if (!runtime->accelerators) continue;
    for (const infer::Accelerator& one : runtime->accelerators()) {
      found.push_back(Object{
          {"runtime", text(name)}, {"name", text(one.name)}, {"usable", one.usable}, {"reason", text(one.reason)}});
    }
  }
  return found;
}

}  // namespace

Object describe_hardware(const base::Registry& registry) {
  Object o;
  utsname system{};
  ::uname(&system);
  o["architecture"] = text(system.machine);
  o["system"] = text(fmt::format("{} {}", system.sysname, system.release));
  add_processor(o);
  o["cores"] = static_cast<std::int64_t>(::sysconf(_SC_NPROCESSORS_ONLN));
  o["usable_cores"] = usable_cores();
  o["memory_bytes"] = memory_figure("MemTotal:");
  o["available_bytes"] = memory_figure("MemAvailable:");
  Array runtimes;
  for (const std::string& name : registry.names<infer::RuntimeFactory>()) {
    const infer::RuntimeFactory* runtime = registry.find<infer::RuntimeFactory>(name);
    runtimes.push_back(
        Object{{"name", text(name)}, {"about", text(runtime->describe ? runtime->describe() : std::string())}});
  }
  o["runtimes"] = std::move(runtimes);
  o["accelerators"] = accelerators(registry);
  return o;
}

}  // namespace penstock::app
