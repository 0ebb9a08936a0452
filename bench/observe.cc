// What one finished request costs the observer thread: metrics, access log, recent requests. Standard error takes the
// log:
//   observe 20 2>/dev/null    20 rounds of 8,000 events; `valgrind --tool=callgrind` counts instructions
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <ctime>
#include <string>
#include <vector>

#include "obs/observer.h"

namespace {

using namespace penstock;

constexpr std::size_t kEvents = 8000;

obs::RequestEvent event(std::size_t i) {
  obs::RequestEvent made{};
  made.at = 1'700'000'000'000'000 + static_cast<std::int64_t>(i) * 50;
  made.id.assign(fmt::format("4f1c9a7be2d80{:011}", i));
  made.api = obs::intern("openai");
  made.route = obs::intern("/v1/chat/completions");
  made.key = obs::intern(i % 3 == 0 ? "app" : "plant-dashboard");
  made.model = obs::intern("chat");
  made.target = obs::intern(i % 5 == 0 ? "claude/claude-haiku-4-5" : "openai/gpt-4o-mini");
  made.asked.assign("chat");
  made.attempts = 1;
  made.status = 200;
  made.total_nanos = 1'234'567;
  made.overhead_nanos = 21'000;
  made.input_tokens = 42;
  made.output_tokens = 87;
  made.usage_known = true;
  made.bytes_in = 234;
  made.bytes_out = 757;
  return made;
}

// Of the whole process.
double cpu_nanos() {
  timespec now{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e9 + static_cast<double>(now.tv_nsec);
}

}  // namespace

int main(int argc, char** argv) {
  int rounds = argc > 1 ? std::atoi(argv[1]) : 20;
  double best = 1e18;
  std::uint64_t seen = 0;
  std::vector<obs::RequestEvent> events;
  for (std::size_t i = 0; i < kEvents; ++i) events.push_back(event(i));
  for (int round = 0; round < rounds; ++round) {
    obs::Observer observer({.cores = 1, .access_log = true, .on_batch = {}});
    for (const obs::RequestEvent& one : events) observer.record(0, one);
    double start = cpu_nanos();
    observer.start();
    observer.stop();
    best = std::min(best, (cpu_nanos() - start) / static_cast<double>(kEvents));
    seen += observer.requests_total();
  }
  if (seen == 0) return 1;
  fmt::print("{:.0f} ns of processor time per event, the best of {} rounds\n", best, rounds);
  return 0;
}
