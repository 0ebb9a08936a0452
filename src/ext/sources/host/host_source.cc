#include "ext/sources/host/host_source.h"

namespace penstock::ext {

using namespace std::chrono_literals;

// A reading takes about a fifth of a millisecond; ten a second is more than any of these values changes.
constexpr base::Duration kEveryLeast = 100ms;

HostSource::HostSource(HostProbe probe, base::Duration every, const base::Clock& clock)
    : probe_(std::move(probe)), every_(every), clock_(clock), device_(probe_.hostname()) {}

Result<void> HostSource::start(rt::Loop& loop, ingest::Emit emit) {
  emit_ = std::move(emit);
  ingest::Sample baseline;
  probe_.read(clock_.steady(), baseline);
  timer_ = std::make_unique<rt::Timer>(loop);
  next_ = loop.now() + every_;
  running_ = true;
  arm(loop);
  return {};
}

void HostSource::stop() {
  timer_.reset();
  emit_ = {};
  running_ = false;
}

void HostSource::arm(rt::Loop& loop) {
  timer_->arm_at(next_, [this, &loop] { take(loop); });
}

void HostSource::take(rt::Loop& loop) {
  ingest::Sample sample;
  sample.event_time = sample.ingest_time = clock_.wall();
  sample.device = device_;
  probe_.read(clock_.steady(), sample);
  messages_.fetch_add(1, std::memory_order_relaxed);
  std::vector<ingest::Sample> samples;
  samples.push_back(std::move(sample));
  if (!emit_(std::move(samples))) dropped_.fetch_add(1, std::memory_order_relaxed);
  // On the period's own grid; periods missed while the loop was busy are left out.
  while (next_ <= loop.now()) next_ += every_;
  arm(loop);
}

ingest::Status HostSource::status() const {
  return {.connected = running_,
          .detail = running_ ? "reading " + device_ : "stopped",
          .messages = messages_,
          .dropped = dropped_};
}

std::unique_ptr<ingest::Source> make_host_source(const config::Node& kind, config::Map& map,
                                                 const ingest::Context& context, const std::string& root) {
  config::Map options = kind.map();
  const std::string disk = options.text("disk", "/");
  if (!disk.starts_with('/')) options.get("disk").problem("the folder whose disk is watched is a full path, as /var");
  options.done();
  base::Duration every = map.duration("every", 1s);
  if (every < kEveryLeast) {
    map.get("every").problem("at least 100ms between two readings");
    every = 1s;
  }
  return std::make_unique<HostSource>(HostProbe(root, disk), every, *context.clock);
}

}  // namespace penstock::ext
