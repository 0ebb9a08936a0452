// pipeline_bench: samples per second through filter, deadband and window with aggregates, on one core.
//
//   build/pipeline_bench [samples]
//
// One loop on one thread does everything: it makes the samples (copies of prepared ones, in batches of 256, as a
// source hands them over), takes them through a pipeline's queue and works its steps. Prints what the copies alone
// cost, then the whole; per second of processor time.
#include <time.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "base/registry.h"
#include "config/document.h"
#include "ingest/plan.h"

namespace penstock::ext {
void register_steps_filter(base::Registry& registry);
void register_steps_deadband(base::Registry& registry);
void register_steps_window(base::Registry& registry);
}  // namespace penstock::ext

namespace {

using namespace penstock;

constexpr std::size_t kBatch = 256;
constexpr std::size_t kDevices = 64;
constexpr base::WallMicros kStart = 1'700'000'000'000'000;

struct Case {
  const char* name;
  const char* steps;
};
constexpr Case kCases[] = {
    {"no steps", "[]"},
    {"filter", "[ filter: 'temp > 0degC and quality == \"good\"' ]"},
    {"filter + deadband", "[ filter: 'temp > 0degC and quality == \"good\"', deadband: { temp: 0.05 } ]"},
    {"filter + deadband + window",
     "[ filter: 'temp > 0degC and quality == \"good\"', deadband: { temp: 0.05 }, "
     "window: { last: 10s, every: 1s, fields: { t: avg(temp), top: max(vib), n: count() } } ]"},
};

// A second of every device at 100 samples per second.
std::vector<ingest::Sample> prepared() {
  std::vector<ingest::Sample> samples;
  for (std::size_t tick = 0; tick < 100; ++tick) {
    for (std::size_t device = 0; device < kDevices; ++device) {
      ingest::Sample sample;
      sample.device = "press-" + std::to_string(device);
      sample.event_time = kStart + static_cast<base::WallMicros>(tick) * 10'000;
      const double turn = static_cast<double>(tick * 7 + device);
      sample.set("temp", 60 + 10 * std::sin(turn), "degC");
      sample.set("vib", 2 + std::cos(turn), "mm/s");
      sample.set("running", true);
      samples.push_back(std::move(sample));
    }
  }
  return samples;
}

// Hands out batches until all are made.
class Producer {
 public:
  explicit Producer(std::size_t total) : total_(total), samples_(prepared()) {}

  std::vector<ingest::Sample> next() {
    std::vector<ingest::Sample> batch;
    batch.reserve(kBatch);
    for (std::size_t i = 0; i < kBatch && made_ < total_; ++i, ++made_) {
      ingest::Sample& sample = batch.emplace_back(samples_[made_ % samples_.size()]);
      const auto round = static_cast<base::WallMicros>(made_ / samples_.size());
      sample.event_time += round * 1'000'000;
      sample.ingest_time = sample.event_time;
    }
    return batch;
  }
  bool done() const { return made_ >= total_; }

 private:
  std::size_t total_;
  std::size_t made_ = 0;
  std::vector<ingest::Sample> samples_;
};

// Of this process' own processor time, so that a busy machine does not count.
double processor_seconds() {
  timespec now{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9;
}

// Offers a batch whenever the queue has room and lets the pipeline work in between.
void feed(rt::Loop& loop, ingest::Pipeline& pipeline, Producer& producer) {
  if (!producer.done() && pipeline.stats().queued < 2 * kBatch) {
    if (!pipeline.offer(producer.next())) std::abort();
  }
  if (producer.done() && pipeline.stats().queued == 0) return loop.stop();
  loop.post([&] { feed(loop, pipeline, producer); });
}

void run(const base::Registry& registry, const Case& one, std::size_t total) {
  auto document = config::Document::parse(std::string("p: { steps: ") + one.steps + " }", "bench.yaml");
  rt::Loop loop;
  ingest::PipelineParts parts;
  parts.context.registry = &registry;
  parts.context.clock = &base::system_clock();
  parts.loop = &loop;
  auto pipeline = ingest::build_steps("p", document->root().map().get("p"), std::move(parts));
  if (document->failed()) {
    std::fprintf(stderr, "%s\n", document->report().c_str());
    std::exit(1);
  }
  Producer producer(total);
  loop.post([&] { feed(loop, *pipeline, producer); });
  const double begin = processor_seconds();
  loop.run();
  const double seconds = processor_seconds() - begin;
  ingest::PipelineStats stats = pipeline->stats();
  std::printf("%-28s %9.0f samples/s   (%llu in, %llu out)\n", one.name, static_cast<double>(total) / seconds,
              static_cast<unsigned long long>(stats.in), static_cast<unsigned long long>(stats.out));
}

}  // namespace

int main(int argc, char** argv) {
  const std::size_t total = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 2'000'000;
  base::Registry registry;
  ext::register_steps_filter(registry);
  ext::register_steps_deadband(registry);
  ext::register_steps_window(registry);
  Producer producer(total);
  const double begin = processor_seconds();
  while (!producer.done()) producer.next();
  std::printf("%-28s %9.0f samples/s\n", "making the samples alone",
              static_cast<double>(total) / (processor_seconds() - begin));
  for (const Case& one : kCases) run(registry, one, total);
}
