// How a pipeline begins, takes the place of another at a reload, hands samples to those that read it, and ends.
#include <algorithm>

#include "ingest/pipeline.h"
#include "ingest/sample_json.h"
#include "ingest/succession.h"

namespace penstock::ingest {
namespace {

constexpr base::Duration kReaderRetry = std::chrono::milliseconds(5);

void move_figure(std::atomic<std::uint64_t>& from, std::atomic<std::uint64_t>& to) {
  to.fetch_add(from.exchange(0, std::memory_order_relaxed), std::memory_order_relaxed);
}

}  // namespace

void Pipeline::start(std::shared_ptr<Pipeline> before) {
  frame_.nodes.clear();
  frame_.lines.clear();
  opening_ = true;
  if (before) {
    std::lock_guard lock(before->incoming_mutex_);
    before->next_ = weak_from_this();
  }
  parts_.loop->post([self = shared_from_this(), before = std::move(before)] {
    self->furnish();
    if (!before) return self->open();
    if (!before->opening_) return self->inherit(before);
    before->when_open_.push_back([self, before] { self->inherit(before); });
  });
}

Pipeline& Pipeline::latest() {
  Pipeline* latest = this;
  while (latest->heir_ != nullptr) latest = latest->heir_;
  return *latest;
}

void Pipeline::furnish() {
  timer_ = std::make_unique<rt::Timer>(*parts_.loop);
  reader_timer_ = std::make_unique<rt::Timer>(*parts_.loop);
}

void Pipeline::open() {
  for (std::size_t i = 0; i < sinks_.size(); ++i) {
    Outlet& outlet = *sinks_[i].outlet;
    const std::string where = fmt::format("sink {} ({})", i + 1, outlet.kind());
    outlet.on_refused([this, where](const Sample& sample, const std::string& why) { dead({where, why, sample}); });
    if (sinks_[i].running) continue;
    sinks_[i].running = true;
    auto started = outlet.start(*parts_.loop);
    if (!started) failed(fmt::format("{}: {}", where, started.error().detail));
  }
  opening_ = false;
  for (Sample& sample : std::exchange(held_, {})) leave(std::move(sample));
  on_tick();
  {
    std::lock_guard lock(incoming_mutex_);
    posted_ = true;
  }
  work();
  for (const auto& told : std::exchange(when_open_, {})) told();
}

// --- reload ----------------------------------------------------------------------------------------------------------

void Pipeline::inherit(const std::shared_ptr<Pipeline>& before) {
  before->timer_->cancel();
  before->reader_timer_->cancel();
  inherit_queue(*before);
  // What waits has not been through the steps.
  worked_until_ = before->worked_until_;
  queue_taken_at_ = std::max(before->queue_taken_at_, before->worked_until_);
  inherit_figures(*before);
  steps_->adopt(*before->steps_);
  before->heir_ = this;
  before->flush();  // what its steps still hold goes on here
  // What no step of ours watches any more cannot be cleared by one.
  if (parts_.board != nullptr) parts_.board->declare(name_, alarms(), parts_.context.clock->wall());
  retiring_.push_back(before);
  inherit_outlets(*before, [self = shared_from_this()] { self->open(); });
}

// Older samples first: what is new has gathered in incoming_.
void Pipeline::inherit_queue(Pipeline& before) {
  const auto at = before.working_.begin() + static_cast<std::ptrdiff_t>(before.working_at_);
  working_.assign(std::make_move_iterator(at), std::make_move_iterator(before.working_.end()));
  working_at_ = 0;
  before.working_.clear();
  before.working_at_ = 0;
  {
    std::lock_guard lock(before.incoming_mutex_);
    std::move(before.incoming_.begin(), before.incoming_.end(), std::back_inserter(working_));
    before.incoming_.clear();
    before.closed_ = true;
  }
  before.queued_.fetch_sub(working_.size(), std::memory_order_relaxed);
  queued_.fetch_add(working_.size(), std::memory_order_relaxed);
  // Who reads this one may be said later (set_readers): until then what comes out goes where it went.
  if (readers_.empty()) readers_ = std::move(before.readers_);
  for (Reader& old : before.readers_) {
    for (Reader& reader : readers_) {
      if (reader.to->name() == old.to->name()) reader.waiting = std::move(old.waiting);
    }
  }
  before.readers_.clear();
}

void Pipeline::inherit_figures(Pipeline& before) {
  move_figure(before.in_, in_);
  move_figure(before.out_, out_);
  move_figure(before.refused_, refused_);
  move_figure(before.dropped_, dropped_);
  move_figure(before.errors_, errors_);
  move_figure(before.alarms_, alarms_);
  move_figure(before.busy_nanos_, busy_nanos_);
  move_figure(before.latency_micros_, latency_micros_);
  for (std::size_t i = 0; i < latency_.size(); ++i) move_figure(before.latency_[i], latency_[i]);
  std::scoped_lock lock(shown_mutex_, before.shown_mutex_);
  devices_.merge(before.devices_);
  shown_ = before.shown_;
}

std::vector<std::string> Pipeline::written(const std::vector<SinkSlot>& sinks) {
  std::vector<std::string> result;
  for (const SinkSlot& sink : sinks) result.push_back(sink.written);
  return result;
}

// A sink written as before goes on with all it holds; the others end before the new ones begin, which may use the same
// buffer or the same name at a broker.
void Pipeline::inherit_outlets(Pipeline& before, std::function<void()> others_stopped) {
  {
    // Other threads look at sinks with either lock.
    std::scoped_lock lock(shown_mutex_, before.shown_mutex_, incoming_mutex_, before.incoming_mutex_);
    const auto successor = successors(written(before.sinks_), written(sinks_));
    for (std::size_t i = 0; i < successor.size(); ++i) {
      if (successor[i]) std::swap(sinks_[*successor[i]], before.sinks_[i]);
    }
    std::erase_if(before.sinks_, [](const SinkSlot& sink) { return !sink.running; });
  }
  before.stop_outlets(std::move(others_stopped));
}

bool Pipeline::retired() const {
  return !busy() &&
         std::all_of(retiring_.begin(), retiring_.end(), [](const auto& before) { return before->retired(); });
}

// Steps that a reload left waiting for answers are kept until those have come.
void Pipeline::retire_idle() {
  if (retiring_.empty()) return;
  for (const auto& before : retiring_) before->tick(burst_now_);
  std::erase_if(retiring_, [](const auto& before) { return before->retired(); });
}

// --- readers ---------------------------------------------------------------------------------------------------------

void Pipeline::set_readers(std::vector<std::shared_ptr<Pipeline>> readers) {
  parts_.loop->post([self = shared_from_this(), readers = std::move(readers)] {
    std::vector<Reader> before = std::exchange(self->readers_, {});
    for (const auto& to : readers) {
      auto same =
          std::find_if(before.begin(), before.end(), [&](const Reader& old) { return old.to->name() == to->name(); });
      self->readers_.push_back({to, same == before.end() ? std::vector<Sample>() : std::move(same->waiting)});
    }
    self->hand_on();
  });
}

// What comes out would have no place to wait.
bool Pipeline::stalled() const {
  return sink_full() || std::any_of(readers_.begin(), readers_.end(),
                                    [](const Reader& reader) { return reader.waiting.size() >= kQueueMax; });
}

void Pipeline::work_later() {
  work_waits_ = true;
  if (!reader_timer_->armed()) reader_timer_->arm_in(kReaderRetry, [this] { hand_on(); });
}

// For samples that leave outside of work(): a model's late answer.
void Pipeline::hand_on_soon() {
  if (parts_.loop == nullptr || std::exchange(handing_on_, true)) return;
  parts_.loop->post([self = shared_from_this()] {
    self->handing_on_ = false;
    self->hand_on();
  });
}

void Pipeline::hand_on() {
  bool left = false;
  for (Reader& reader : readers_) {
    if (!reader.waiting.empty() && !reader.to->take(reader.waiting)) left = true;
  }
  if (stopped_ || heir_ != nullptr) return;
  if (left && !reader_timer_->armed()) reader_timer_->arm_in(kReaderRetry, [this] { hand_on(); });
  if (!work_waits_) return;
  if (stalled()) return work_later();
  work_waits_ = false;
  parts_.loop->post([self = shared_from_this()] { self->work(); });
}

// --- dead letters ----------------------------------------------------------------------------------------------------

void Pipeline::replay(std::vector<KeptLetter> letters, std::function<void(std::vector<KeptLetter>)> done) {
  parts_.loop->post([self = shared_from_this(), letters = std::move(letters), done = std::move(done)]() mutable {
    std::vector<KeptLetter> left;
    for (KeptLetter& letter : letters) {
      if (!self->replay_one(letter)) left.push_back(std::move(letter));
    }
    done(std::move(left));
  });
}

bool Pipeline::replay_one(const KeptLetter& letter) {
  if (stopped_ || opening_ || heir_ != nullptr) return false;
  auto value = json::parse(letter.sample);
  auto sample = value ? sample_from_json(*value, {name_, letter.at}) : Result<Sample>(std::unexpected(value.error()));
  if (!sample) return false;
  for (const auto& slot : frame_.slots) {
    if (letter.where != fmt::format("step {} ({})", slot->place, slot->kind)) continue;
    frame_.inputs.at(slot->place)->emit(std::move(*sample));
    return true;
  }
  for (std::size_t i = 0; i < sinks_.size(); ++i) {
    if (letter.where != fmt::format("sink {} ({})", i + 1, sinks_[i].outlet->kind())) continue;
    sinks_[i].outlet->deliver(*sample);
    return true;
  }
  return false;
}

// --- end -------------------------------------------------------------------------------------------------------------

void Pipeline::stop(std::function<void()> done) {
  parts_.loop->post([self = shared_from_this(), done = std::move(done)]() mutable {
    if (!self->opening_) return self->stop_now(std::move(done));
    self->when_open_.push_back([self, done = std::move(done)] { self->stop_now(done); });
  });
}

void Pipeline::stop_now(std::function<void()> done) {
  timer_.reset();
  std::vector<Sample> rest(std::make_move_iterator(working_.begin() + static_cast<std::ptrdiff_t>(working_at_)),
                           std::make_move_iterator(working_.end()));
  {
    std::lock_guard lock(incoming_mutex_);
    closed_ = true;
    std::move(incoming_.begin(), incoming_.end(), std::back_inserter(rest));
    incoming_.clear();
  }
  working_.clear();
  working_at_ = 0;
  for (Sample& sample : rest) push(std::move(sample));
  queued_.fetch_sub(rest.size(), std::memory_order_relaxed);
  flush();
  stopped_ = true;
  hand_on();
  for (const Reader& reader : readers_) {
    for (const Sample& sample : reader.waiting) {
      if (sample.receipt) sample.receipt->abandon();
    }
    dropped_.fetch_add(reader.waiting.size(), std::memory_order_relaxed);
  }
  readers_.clear();
  reader_timer_.reset();
  stop_outlets(std::move(done));
}

// `done` is called once every outlet has flushed.
void Pipeline::stop_outlets(std::function<void()> done) {
  auto left = std::make_shared<std::size_t>(sinks_.size() + 1);
  auto one_done = [self = shared_from_this(), left, done = std::move(done)] {
    if (--*left == 0 && done) done();
  };
  for (const SinkSlot& sink : sinks_) sink.outlet->stop(one_done);
  one_done();
}

}  // namespace penstock::ingest
