#include "ext/sources/simulate/simulate_source.h"

#include <fmt/format.h>

#include <cmath>

namespace penstock::ext {
namespace {

using namespace std::chrono_literals;

constexpr base::Duration kEveryLeast = 50ms;

// Sensors have no more digits than this.
double rounded(double value) { return std::round(value * 1000) / 1000; }

std::unexpected<Error> no_point(const std::string& name) {
  return fail(Errc::not_found, fmt::format("the simulated press has no point '{}'; it has 'stop'", name));
}

}  // namespace

SimulateSource::SimulateSource(SimulateOptions options, const base::Clock& clock)
    : options_(std::move(options)), clock_(clock), press_(options_.life, options_.repair, options_.seed) {}

Result<void> SimulateSource::start(rt::Loop& loop, ingest::Emit emit) {
  emit_ = std::move(emit);
  timer_ = std::make_unique<rt::Timer>(loop);
  next_ = loop.now() + options_.every;
  running_ = true;
  timer_->arm_at(next_, [this] { take(); });
  return {};
}

void SimulateSource::stop() {
  timer_.reset();
  emit_ = {};
  running_ = false;
}

ingest::Sample SimulateSource::sample() {
  SimulatedPress::Reading reading = press_.read(clock_.steady());
  for (double& one : reading.vib) one = rounded(one);
  ingest::Sample sample;
  sample.event_time = sample.ingest_time = clock_.wall();
  sample.device = options_.device;
  sample.set("vib", std::move(reading.vib), "mm/s");
  sample.set("temp", rounded(reading.temp), "degC");
  sample.set("speed", rounded(reading.speed), "Hz");
  sample.set("stopped", press_.stopped());
  if (options_.truth) sample.set("wear", rounded(reading.wear));
  return sample;
}

void SimulateSource::take() {
  std::vector<ingest::Sample> samples;
  samples.push_back(sample());
  messages_.fetch_add(1, std::memory_order_relaxed);
  if (!emit_(std::move(samples))) dropped_.fetch_add(1, std::memory_order_relaxed);
  // On the period's own grid; periods missed while the loop was busy are left out.
  while (next_ <= clock_.steady()) next_ += options_.every;
  timer_->arm_at(next_, [this] { take(); });
}

ingest::Status SimulateSource::status() const {
  return {.connected = running_,
          .detail = running_ ? "a simulation, no machine" : "stopped",
          .messages = messages_,
          .dropped = dropped_};
}

ingest::Shape SimulateSource::shape() const {
  using Kind = ingest::FieldType::Kind;
  ingest::Shape shape{.fields = {{"vib", {Kind::array, "mm/s"}},
                                 {"temp", {Kind::number, "degC"}},
                                 {"speed", {Kind::number, "Hz"}},
                                 {"stopped", {Kind::boolean, ""}}},
                      .open = false,
                      .samples_per_second = 1 / std::chrono::duration<double>(options_.every).count()};
  if (options_.truth) shape.fields["wear"] = {Kind::number, ""};
  return shape;
}

void SimulateSource::write(ingest::PointWrite write, std::function<void(Result<ingest::Value>)> done) {
  if (write.point != "stop") return done(no_point(write.point));
  const auto* stop = std::get_if<bool>(&write.value);
  if (stop == nullptr || !*stop) {
    return done(fail(Errc::invalid_argument, "'stop' takes true; the press starts by itself when it is repaired"));
  }
  press_.stop(clock_.steady());
  done(ingest::Value(press_.stopped()));
}

void SimulateSource::read(ingest::PointRead read, std::function<void(Result<ingest::Value>)> done) {
  if (read.point != "stop") return done(no_point(read.point));
  done(ingest::Value(press_.stopped()));
}

std::unique_ptr<ingest::Source> make_simulate_source(const std::string&, const config::Node& kind, config::Map& map,
                                                     const ingest::Context& context) {
  kind.choice({"press"}, "press");
  SimulateOptions options;
  options.device = map.text("device", "press-1");
  options.every = map.duration("every", 1s);
  options.life = map.duration("life", 3min);
  options.repair = map.duration("repair", 20s);
  options.seed = static_cast<std::uint64_t>(map.integer("seed", 1, 0, 1'000'000'000));
  options.truth = map.boolean("truth", false);
  if (options.every < kEveryLeast) map.get("every").problem("at least 50ms between two readings");
  if (options.life < 1s) map.get("life").problem("at least 1s");
  if (options.device.empty()) map.get("device").problem("the press needs a name");
  if (options.every < kEveryLeast || options.life < 1s || options.device.empty()) return nullptr;
  return std::make_unique<SimulateSource>(std::move(options), *context.clock);
}

}  // namespace penstock::ext
