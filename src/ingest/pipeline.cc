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

// The input of one step; as an Output it is where the step before puts its samples. The one behind the last step has no
// step and hands samples to the sinks.
class Pipeline::Stage : public Output {
 public:
  Stage(Pipeline& pipeline, std::unique_ptr<Step> step) : pipeline_(pipeline), step_(std::move(step)) {}
  void emit(Sample sample) override {
    if (step_) {
      step_->push(std::move(sample), *next_);
    } else {
      pipeline_.leave(std::move(sample));
    }
  }
  Step* step() const { return step_.get(); }
  Stage& next() const { return *next_; }
  void set_next(Stage* next) { next_ = next; }

 private:
  Pipeline& pipeline_;
  std::unique_ptr<Step> step_;
  Stage* next_ = nullptr;
};

Pipeline::Pipeline(std::string name, PipelineParts parts) : name_(std::move(name)), parts_(std::move(parts)) {
  step_context_.shared = &parts_.context;
  step_context_.pipeline = name_;
  step_context_.loop = parts_.loop;
  step_context_.alarm_changed = [this](const AlarmChange& change) { changed(change); };
  step_context_.failed = [this](std::string_view what) {
    add(errors_);
    std::lock_guard lock(shown_mutex_);
    last_error_ = what;
  };
  step_context_.dropped = [this](std::uint64_t samples) { add(dropped_, samples); };
  stages_.push_back(std::make_unique<Stage>(*this, nullptr));
}

Pipeline::~Pipeline() = default;

void Pipeline::add_step(std::string kind, std::unique_ptr<Step> step) {
  step_kinds_.push_back(std::move(kind));
  stages_.insert(stages_.end() - 1, std::make_unique<Stage>(*this, std::move(step)));
  for (std::size_t i = 0; i + 1 < stages_.size(); ++i) stages_[i]->set_next(stages_[i + 1].get());
}

void Pipeline::add_sink(std::string kind, std::unique_ptr<Sink> sink, OutletOptions options) {
  options.store = parts_.buffers;
  outlets_.push_back(std::make_shared<Outlet>(std::move(kind), std::move(sink), std::move(options)));
}

void Pipeline::start() {
  parts_.loop->post([self = shared_from_this()] {
    for (const auto& outlet : self->outlets_) {
      auto started = outlet->start(*self->parts_.loop);
      if (!started) self->step_context_.error(fmt::format("sink {}: {}", outlet->kind(), started.error().detail));
    }
    self->timer_ = std::make_unique<rt::Timer>(*self->parts_.loop);
    self->on_tick();
  });
}

void Pipeline::stop(std::function<void()> done) {
  parts_.loop->post([self = shared_from_this(), done = std::move(done)] {
    self->timer_.reset();
    std::vector<Sample> rest(
        std::make_move_iterator(self->working_.begin() + static_cast<std::ptrdiff_t>(self->working_at_)),
        std::make_move_iterator(self->working_.end()));
    {
      std::lock_guard lock(self->incoming_mutex_);
      self->closed_ = true;
      std::move(self->incoming_.begin(), self->incoming_.end(), std::back_inserter(rest));
      self->incoming_.clear();
    }
    self->working_.clear();
    self->working_at_ = 0;
    for (Sample& sample : rest) self->push(std::move(sample));
    self->queued_.fetch_sub(rest.size(), std::memory_order_relaxed);
    self->flush();
    self->stopped_ = true;
    self->stop_outlets(std::move(done));
  });
}

bool Pipeline::offer(std::vector<Sample> samples) {
  if (samples.empty()) return true;
  const bool blocked = std::any_of(outlets_.begin(), outlets_.end(), [](const auto& outlet) { return outlet->full(); });
  std::size_t before = queued_.fetch_add(samples.size(), std::memory_order_relaxed);
  if (blocked || (before > 0 && before + samples.size() > kQueueMax)) {
    queued_.fetch_sub(samples.size(), std::memory_order_relaxed);
    add(refused_, samples.size());
    return false;
  }
  std::size_t count = samples.size();
  bool post = false;
  {
    std::lock_guard lock(incoming_mutex_);
    if (closed_) {
      queued_.fetch_sub(count, std::memory_order_relaxed);
      add(refused_, count);
      return false;
    }
    if (incoming_.empty()) {
      incoming_ = std::move(samples);
    } else {
      std::move(samples.begin(), samples.end(), std::back_inserter(incoming_));
    }
    post = !std::exchange(posted_, true);
  }
  add(in_, count);
  if (post) parts_.loop->post([self = shared_from_this()] { self->work(); });
  return true;
}

void Pipeline::work() {
  if (stopped_) return;
  if (working_at_ >= working_.size()) {
    working_.clear();
    working_at_ = 0;
    std::lock_guard lock(incoming_mutex_);
    std::swap(working_, incoming_);
  }
  base::SteadyTime begin = parts_.context.clock->steady();
  burst_now_ = parts_.context.clock->wall();
  std::size_t count = std::min(kBurst, working_.size() - working_at_);
  note_devices(std::span(working_).subspan(working_at_, count));
  for (std::size_t i = 0; i < count; ++i) stages_.front()->emit(std::move(working_[working_at_ + i]));
  working_at_ += count;
  queued_.fetch_sub(count, std::memory_order_relaxed);
  add(busy_nanos_, static_cast<std::uint64_t>((parts_.context.clock->steady() - begin).count()));
  if (working_at_ >= working_.size()) {
    std::lock_guard lock(incoming_mutex_);
    posted_ = !incoming_.empty();
    if (!posted_) return;
  }
  parts_.loop->post([self = shared_from_this()] { self->work(); });
}

void Pipeline::push(Sample sample) {
  burst_now_ = sample.ingest_time;
  stages_.front()->emit(std::move(sample));
}

void Pipeline::tick(base::WallMicros now) {
  burst_now_ = now;
  for (const auto& stage : stages_) {
    if (stage->step() != nullptr) stage->step()->tick(now, stage->next());
  }
}

void Pipeline::flush() {
  for (const auto& stage : stages_) {
    if (stage->step() != nullptr) stage->step()->flush(stage->next());
  }
}

bool Pipeline::busy() const {
  return std::any_of(stages_.begin(), stages_.end(),
                     [](const auto& stage) { return stage->step() != nullptr && stage->step()->busy(); });
}

void Pipeline::on_tick() {
  tick(parts_.context.clock->wall());
  if (newest_fresh_) {
    newest_fresh_ = false;
    std::lock_guard lock(shown_mutex_);
    shown_ = newest_;
  }
  timer_->arm_in(kTick, [this] { on_tick(); });
}

void Pipeline::leave(Sample sample) {
  // A model's late answer may come after stop(): its sinks are closed.
  if (stopped_) return;
  add(out_);
  count_latency(sample.ingest_time);
  for (const auto& outlet : outlets_) outlet->deliver(sample);
  if (parts_.hub && parts_.hub->watched()) {
    parts_.hub->publish({Event::Kind::sample, std::make_shared<const std::string>(to_json(sample))});
  }
  if (on_output_) on_output_(sample);
  newest_ = std::move(sample);
  newest_.receipt.reset();  // shown, not held
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
  if (change.raised) add(alarms_);
  if (parts_.board != nullptr) parts_.board->change(change);
  if (parts_.hub && parts_.hub->watched()) {
    parts_.hub->publish({Event::Kind::alarm, std::make_shared<const std::string>(to_json(change))});
  }
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
  std::vector<OutletStatus> result;
  for (const auto& outlet : outlets_) result.push_back(outlet->status());
  return result;
}

// `done` is called once every outlet has flushed.
void Pipeline::stop_outlets(std::function<void()> done) {
  auto left = std::make_shared<std::size_t>(outlets_.size() + 1);
  auto one_done = [self = shared_from_this(), left, done = std::move(done)] {
    if (--*left == 0 && done) done();
  };
  for (const auto& outlet : outlets_) outlet->stop(one_done);
  one_done();
}

}  // namespace penstock::ingest
