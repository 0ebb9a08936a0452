#include "ingest/pipeline.h"

#include "ingest/sample_json.h"

namespace penstock::ingest {
namespace {

// Samples worked on before other work of the loop gets its turn.
constexpr std::size_t kBurst = 256;

void add(std::atomic<std::uint64_t>& counter, std::uint64_t by = 1) {
  counter.fetch_add(by, std::memory_order_relaxed);
}

}  // namespace

// Behind the last step.
class Pipeline::End : public Output {
 public:
  explicit End(Pipeline& pipeline) : pipeline_(pipeline) {}
  void emit(Sample sample) override { pipeline_.leave(std::move(sample)); }

 private:
  Pipeline& pipeline_;
};

Pipeline::Pipeline(std::string name, PipelineParts parts)
    : name_(std::move(name)), parts_(std::move(parts)), way_("/" + name_) {
  if (!parts_.taps) parts_.taps = std::make_shared<Taps>();
  frame_.context = parts_.context;
  frame_.pipeline = name_;
  frame_.loop = parts_.loop;
  frame_.taps = parts_.taps;
  frame_.alarm_changed = [this](const AlarmChange& change) { changed(change); };
  frame_.failed = [this](std::string_view what) { failed(what); };
  frame_.dropped = [this](std::uint64_t samples) { add(latest().dropped_, samples); };
  frame_.dead = [this](DeadLetter letter) { dead(std::move(letter)); };
  frame_.alarms = std::make_shared<AlarmTable>();
  frame_.raised = [this](const std::string& alarm) {
    return parts_.board == nullptr ? std::vector<AlarmChange>() : parts_.board->raised(name_, alarm);
  };
  end_ = std::make_unique<End>(*this);
  steps_ = std::make_unique<StepChain>(frame_, "", *end_);
}

Pipeline::~Pipeline() = default;

void Pipeline::add_sink(std::string kind, std::unique_ptr<Sink> sink, std::string written, OutletOptions options) {
  options.store = parts_.buffers;
  may_refuse_ = may_refuse_ || options.buffer.full == spool::Full::refuse || options.buffer.durable();
  sinks_.push_back(
      {std::move(written), std::make_shared<Outlet>(std::move(kind), std::move(sink), std::move(options))});
}

std::vector<std::string> Pipeline::step_kinds() const {
  std::vector<std::string> kinds;
  for (const auto& slot : frame_.slots) {
    if (slot->place.find('.') == std::string::npos) kinds.push_back(slot->kind);
  }
  return kinds;
}

StepPlan Pipeline::plan(const Shape& in) {
  if (!frame_.complete) return {.out = {}, .memory_bytes_max = 0, .problems = {}};
  frame_.lines.clear();
  return steps_->plan(in);
}

bool Pipeline::offer(std::vector<Sample> samples) {
  const std::size_t count = samples.size();
  if (take(samples)) return true;
  add(refused_, count);
  return false;
}

// Any thread. A queue that is to refuse rather than drop is full.
bool Pipeline::sink_full() const {
  if (!may_refuse_) return false;
  std::lock_guard lock(shown_mutex_);
  return std::any_of(sinks_.begin(), sinks_.end(), [](const SinkSlot& sink) { return sink.outlet->full(); });
}

// Leaves them where they are when there is no room.
bool Pipeline::take(std::vector<Sample>& samples) {
  if (samples.empty()) return true;
  const bool blocked = sink_full();
  const std::size_t count = samples.size();
  const std::size_t before = queued_.fetch_add(count, std::memory_order_relaxed);
  bool post = false;
  std::shared_ptr<Pipeline> next;
  {
    std::lock_guard lock(incoming_mutex_);
    next = next_.lock();
    const bool full = blocked || (before > 0 && before + count > kQueueMax);
    if (next || closed_ || full) {
      queued_.fetch_sub(count, std::memory_order_relaxed);
      if (!next) return false;
    } else {
      if (incoming_.empty()) {
        incoming_ = std::move(samples);
      } else {
        std::move(samples.begin(), samples.end(), std::back_inserter(incoming_));
      }
      samples.clear();
      post = !std::exchange(posted_, true);
    }
  }
  if (next) return next->take(samples);
  add(in_, count);
  if (post) parts_.loop->post([self = shared_from_this()] { self->work(); });
  return true;
}

void Pipeline::work() {
  if (stopped_ || opening_ || heir_ != nullptr) return;
  if (stalled()) return work_later();
  base::SteadyTime begin = parts_.context.clock->steady();
  burst_now_ = parts_.context.clock->wall();
  if (working_at_ >= working_.size()) {
    working_.clear();
    working_at_ = 0;
    queue_taken_at_ = burst_now_;
    std::lock_guard lock(incoming_mutex_);
    std::swap(working_, incoming_);
  }
  std::size_t count = std::min(kBurst, working_.size() - working_at_);
  note_devices(std::span(working_).subspan(working_at_, count));
  for (std::size_t i = 0; i < count; ++i) push_timed(std::move(working_[working_at_ + i]));
  working_at_ += count;
  queued_.fetch_sub(count, std::memory_order_relaxed);
  hand_on();
  add(busy_nanos_, static_cast<std::uint64_t>((parts_.context.clock->steady() - begin).count()));
  if (working_at_ >= working_.size()) {
    worked_until_ = queue_taken_at_;
    std::lock_guard lock(incoming_mutex_);
    posted_ = !incoming_.empty();
    if (!posted_) return;
  }
  parts_.loop->post([self = shared_from_this()] { self->work(); });
}

void Pipeline::push_timed(Sample sample) {
  way_.add_to(sample);
  if (++untimed_ < StepFrame::kTimedEvery) return steps_->push(std::move(sample));
  untimed_ = 0;
  frame_.timing = true;
  frame_.scale = StepFrame::kTimedEvery;
  steps_->push(std::move(sample));
  frame_.timing = false;
}

void Pipeline::push(Sample sample) {
  burst_now_ = sample.ingest_time;
  way_.add_to(sample);
  steps_->push(std::move(sample));
}

void Pipeline::tick(base::WallMicros now) {
  burst_now_ = now;
  frame_.timing = true;
  frame_.scale = 1;
  steps_->tick(now);
  frame_.timing = false;
}

void Pipeline::flush() { steps_->flush(); }

bool Pipeline::busy() const { return steps_->busy(); }

void Pipeline::on_tick() {
  // To the steps it is as late as what they have seen: a device whose samples wait in the queue is not silent.
  if (worked_until_ == 0 || queued_.load(std::memory_order_relaxed) == 0) worked_until_ = parts_.context.clock->wall();
  tick(worked_until_);
  if (newest_fresh_) {
    newest_fresh_ = false;
    std::lock_guard lock(shown_mutex_);
    shown_ = newest_;
  }
  retire_idle();
  hand_on();
  timer_->arm_in(kTick, [this] { on_tick(); });
}

void Pipeline::leave(Sample sample) {
  if (heir_ != nullptr) return heir_->leave(std::move(sample));
  // A model's late answer may come after stop(): its sinks are closed, and a journal gives the sample again.
  if (stopped_) {
    if (sample.receipt) sample.receipt->abandon();
    add(dropped_);
    return;
  }
  if (opening_) {
    held_.push_back(std::move(sample));
    return;
  }
  add(out_);
  count_latency(sample.ingest_time);
  for (const SinkSlot& sink : sinks_) sink.outlet->deliver(sample);
  for (Reader& reader : readers_) {
    if (reader.waiting.empty()) hand_on_soon();
    reader.waiting.push_back(sample);
  }
  if (parts_.hub && parts_.hub->watched()) {
    parts_.hub->publish({Event::Kind::sample, std::make_shared<const std::string>(to_json(sample))});
  }
  if (on_output_) on_output_(sample);
  newest_ = std::move(sample);
  newest_.receipt.reset();
  newest_fresh_ = true;
}

void Pipeline::count_latency(base::WallMicros ingest_time) {
  // The burst's time: at most one burst early, and no clock is read per sample.
  std::int64_t micros = std::max<std::int64_t>(0, burst_now_ - ingest_time);
  std::size_t bucket = 0;
  while (bucket < kLatencyBounds.size() && static_cast<double>(micros) > kLatencyBounds[bucket] * 1e6) ++bucket;
  add(latency_[bucket]);
  add(latency_micros_, static_cast<std::uint64_t>(micros));
}

void Pipeline::changed(const AlarmChange& change) {
  if (change.raised) add(latest().alarms_);
  if (parts_.board != nullptr) parts_.board->change(change);
  if (parts_.hub && parts_.hub->watched()) {
    parts_.hub->publish({Event::Kind::alarm, std::make_shared<const std::string>(to_json(change))});
  }
}

void Pipeline::failed(std::string_view what) {
  Pipeline& shown = latest();
  add(shown.errors_);
  std::lock_guard lock(shown.shown_mutex_);
  shown.last_error_ = what;
}

void Pipeline::dead(DeadLetter letter) {
  if (parts_.dead_letters) parts_.dead_letters->add(std::move(letter));
}

void Pipeline::note_devices(std::span<const Sample> samples) {
  std::lock_guard lock(shown_mutex_);
  DeviceStatus* known = nullptr;
  for (const Sample& sample : samples) {
    if (known == nullptr || known->device != sample.device) {
      auto found = devices_.find(sample.device);
      if (found == devices_.end()) {
        if (devices_.size() >= kDevicesMax) continue;
        found = devices_.emplace(sample.device, DeviceStatus{}).first;
        found->second.device = sample.device;
      }
      known = &found->second;
    }
    known->last_seen = sample.ingest_time;
    known->last_event = sample.event_time;
    known->quality = sample.quality;
    ++known->samples;
  }
}

PipelineStats Pipeline::stats() const {
  PipelineStats stats;
  stats.in = in_.load(std::memory_order_relaxed);
  stats.out = out_.load(std::memory_order_relaxed);
  stats.refused = refused_.load(std::memory_order_relaxed);
  stats.dropped = dropped_.load(std::memory_order_relaxed);
  stats.errors = errors_.load(std::memory_order_relaxed);
  stats.alarms = alarms_.load(std::memory_order_relaxed);
  stats.queued = queued_.load(std::memory_order_relaxed);
  stats.busy_seconds = static_cast<double>(busy_nanos_.load(std::memory_order_relaxed)) / 1e9;
  for (std::size_t i = 0; i < latency_.size(); ++i) stats.latency[i] = latency_[i].load(std::memory_order_relaxed);
  stats.latency_seconds = static_cast<double>(latency_micros_.load(std::memory_order_relaxed)) / 1e6;
  std::lock_guard lock(shown_mutex_);
  stats.last_error = last_error_;
  stats.last = shown_;
  return stats;
}

std::vector<DeviceStatus> Pipeline::devices() const {
  std::lock_guard lock(shown_mutex_);
  std::vector<DeviceStatus> result;
  result.reserve(devices_.size());
  for (const auto& [name, status] : devices_) result.push_back(status);
  std::sort(result.begin(), result.end(), [](const auto& a, const auto& b) { return a.device < b.device; });
  return result;
}

std::vector<OutletStatus> Pipeline::sinks() const {
  std::vector<std::shared_ptr<Outlet>> outlets;
  {
    std::lock_guard lock(shown_mutex_);
    for (const SinkSlot& sink : sinks_) outlets.push_back(sink.outlet);
  }
  std::vector<OutletStatus> result;
  for (const auto& outlet : outlets) result.push_back(outlet->status());
  return result;
}

std::vector<StepStats> Pipeline::steps() const {
  std::vector<StepStats> result;
  for (const auto& slot : frame_.slots) {
    StepStats& stats = result.emplace_back();
    stats.place = slot->place;
    stats.kind = slot->kind;
    stats.in = slot->in.load(std::memory_order_relaxed);
    stats.out = slot->out.load(std::memory_order_relaxed);
    stats.errors = slot->errors.load(std::memory_order_relaxed);
    stats.dropped = slot->dropped.load(std::memory_order_relaxed);
    stats.seconds = static_cast<double>(slot->nanos.load(std::memory_order_relaxed)) / 1e9;
  }
  return result;
}

}  // namespace penstock::ingest
