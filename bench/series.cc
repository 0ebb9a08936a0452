// What one sample costs in each step that keeps a series: nanoseconds of processor time per push, four devices in turn,
// one number per sample, 1 kHz each. `build/series [samples]`.
#include <ctime>

#include "base/registry.h"
#include "ingest/contracts.h"

namespace penstock::ext {
void register_steps_window(base::Registry& registry);
}  // namespace penstock::ext

namespace {

using namespace penstock;

class Counted : public ingest::Output {
 public:
  void emit(ingest::Sample sample) override {
    ++samples;
    fields += sample.fields.size();
  }
  std::uint64_t samples = 0;
  std::uint64_t fields = 0;
};

double cpu_seconds() {
  timespec now{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9;
}

ingest::Sample sample_of(std::int64_t i) {
  static const std::string kDevices[] = {"press-1", "press-2", "press-3", "press-4"};
  ingest::Sample sample;
  sample.event_time = sample.ingest_time = 1'700'000'000'000'000 + i / 4 * 1000;
  sample.device = kDevices[i % 4];
  sample.fields.push_back({"vib", static_cast<double>(i * 7919 % 1000), "mm/s"});
  return sample;
}

struct Case {
  const char* kind;
  const char* yaml;
};
constexpr Case kCases[] = {
    {"window", "{ last: 2s, every: 1s, fields: { a: avg(vib), m: max(vib) } }"},
    {"window", "{ last: 1s }"},
    {"window", "{ last: 1s, fields: { m: median(vib) } }"},
    {"window", "{ last: 2s, every: 1s, late: 100ms, fields: { a: avg(vib), e: \"avg(vib * 2)\" } }"},
    {"window", "{ last: 1s, every: sample, fields: { a: avg(vib), m: max(vib) } }"},
    {"window", "{ count: 100, every: 10, fields: { a: avg(vib), m: max(vib) } }"},
    {"window", "{ gap: 1s, max: 10s, fields: { a: avg(vib), m: max(vib) } }"},
};

void run(const base::Registry& registry, const Case& one, std::int64_t samples) {
  auto document = config::Document::parse(std::string("step: ") + one.yaml + "\n", "bench.yaml");
  config::Map root = document->root().map();
  ingest::Context context;
  ingest::StepContext step_context;
  step_context.shared = &context;
  const auto* factory = registry.find<ingest::StepFactory>(one.kind);
  auto step = factory == nullptr ? nullptr : factory->make(root.get("step"), step_context);
  if (step == nullptr) {
    fmt::print("{} {}: {}\n", one.kind, one.yaml, document->report());
    return;
  }
  Counted out;
  std::vector<ingest::Sample> feed;
  double seconds = 0;
  for (std::int64_t i = 0; i < samples;) {
    feed.clear();
    for (std::int64_t end = std::min(samples, i + 10'000); i < end; ++i) feed.push_back(sample_of(i));
    double middle = cpu_seconds();
    for (ingest::Sample& sample : feed) step->push(std::move(sample), out);
    seconds += cpu_seconds() - middle;
  }
  fmt::print("{:6.0f} ns  {:9} out  {} {}\n", seconds / static_cast<double>(samples) * 1e9, out.samples, one.kind,
             one.yaml);
}

}  // namespace

int main(int argc, char** argv) {
  std::int64_t samples = argc > 1 ? std::atoll(argv[1]) : 1'000'000;
  base::Registry registry;
  ext::register_steps_window(registry);
  for (const Case& one : kCases) run(registry, one, samples);
}
