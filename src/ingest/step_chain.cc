#include "ingest/step_chain.h"

#include "ingest/named_item.h"
#include "ingest/sample_json.h"
#include "ingest/succession.h"

namespace penstock::ingest {
namespace {

// Only the loop writes.
void bump(std::atomic<std::uint64_t>& counter, std::uint64_t by = 1) {
  counter.store(counter.load(std::memory_order_relaxed) + by, std::memory_order_relaxed);
}

// Times one call into a step, without what it calls behind it. Does nothing unless the frame is timing.
class Stopwatch {
 public:
  Stopwatch(StepFrame& frame, StepSlot& slot) : frame_(frame), slot_(slot) {
    if (!frame_.timing) return;
    before_ = std::exchange(frame_.nanos_behind, 0);
    begin_ = std::chrono::steady_clock::now();
  }
  ~Stopwatch() {
    if (begin_ == std::chrono::steady_clock::time_point{}) return;
    const auto taken = static_cast<std::uint64_t>((std::chrono::steady_clock::now() - begin_).count());
    bump(slot_.nanos, (taken - std::min(taken, frame_.nanos_behind)) * frame_.scale);
    frame_.nanos_behind = before_ + taken;
  }
  Stopwatch(const Stopwatch&) = delete;
  Stopwatch& operator=(const Stopwatch&) = delete;

 private:
  StepFrame& frame_;
  StepSlot& slot_;
  std::uint64_t before_ = 0;
  std::chrono::steady_clock::time_point begin_{};
};

void take_over(StepSlot& before, StepSlot& after) {
  const auto move = [](std::atomic<std::uint64_t>& from, std::atomic<std::uint64_t>& to) {
    to.fetch_add(from.exchange(0, std::memory_order_relaxed), std::memory_order_relaxed);
  };
  move(before.in, after.in);
  move(before.out, after.out);
  move(before.errors, after.errors);
  move(before.dropped, after.dropped);
  move(before.nanos, after.nanos);
}

}  // namespace

// The input of one step; as an Output it is where the step before puts its samples. The one behind the last step has no
// step and hands samples on.
class StepChain::Stage : public Output {
 public:
  Stage(StepFrame& frame, std::shared_ptr<StepSlot> slot, std::unique_ptr<Step> step)
      : frame_(frame), slot_(std::move(slot)), step_(std::move(step)) {}

  void emit(Sample sample) override {
    if (successor_ != nullptr) return successor_->emit(std::move(sample));
    if (before_ != nullptr) bump(before_->out);
    if (tap_->watched()) tap_->publish({Event::Kind::sample, std::make_shared<const std::string>(to_json(sample))});
    if (!step_) return next_->emit(std::move(sample));
    bump(slot_->in);
    Stopwatch stopwatch(frame_, *slot_);
    step_->push(std::move(sample), *next_);
  }
  void tick(base::WallMicros now) {
    Stopwatch stopwatch(frame_, *slot_);
    step_->tick(now, *next_);
  }
  void flush() { step_->flush(*next_); }
  Step& step() const { return *step_; }
  StepSlot& slot() const { return *slot_; }

  void link(std::shared_ptr<EventHub> tap, StepSlot* before, Output& next) {
    tap_ = std::move(tap);
    before_ = before;
    next_ = &next;
  }
  void hand_to(Stage& successor) { successor_ = &successor; }

 private:
  StepFrame& frame_;
  std::shared_ptr<StepSlot> slot_;
  std::unique_ptr<Step> step_;
  std::shared_ptr<EventHub> tap_;
  StepSlot* before_ = nullptr;
  Output* next_ = nullptr;
  Stage* successor_ = nullptr;  // after a reload
};

StepChain::StepChain(StepFrame& frame, std::string prefix, Output& out)
    : frame_(frame), prefix_(std::move(prefix)), out_(out) {
  stages_.push_back(std::make_unique<Stage>(frame_, nullptr, nullptr));
  link();
}

StepChain::~StepChain() = default;

void StepChain::link() {
  StepSlot* before = nullptr;
  for (std::size_t i = 0; i < stages_.size(); ++i) {
    const bool last = i + 1 == stages_.size();
    Output& next = last ? out_ : *stages_[i + 1];
    stages_[i]->link(frame_.taps->at(fmt::format("{}{}", prefix_, i)), before, next);
    if (last) return;
    before = &stages_[i]->slot();
    frame_.inputs[before->place] = stages_[i].get();
  }
}

std::shared_ptr<StepSlot> StepChain::new_slot(std::string kind, const std::string& name) {
  auto slot = std::make_shared<StepSlot>();
  slot->place = fmt::format("{}{}", prefix_, stages_.size());
  slot->identity = name.empty() ? kind : fmt::format("{} {}", kind, name);
  slot->kind = std::move(kind);
  frame_.slots.push_back(slot);
  return slot;
}

void StepChain::add(std::shared_ptr<StepSlot> slot, std::unique_ptr<Step> step) {
  stages_.insert(stages_.end() - 1, std::make_unique<Stage>(frame_, std::move(slot), std::move(step)));
  link();
}

namespace {

// What tells two alarms of a pipeline apart.
std::string name_of(const config::Node& node) {
  if (node.kind() != config::Node::Kind::map) return {};
  const config::Node name = node.map().get("name");
  return name.kind() == config::Node::Kind::scalar ? name.raw() : std::string();
}

}  // namespace

void StepChain::read(const config::Node& steps) {
  if (!steps.present()) return;
  const base::Registry& registry = *frame_.context.registry;
  for (const config::Node& item : steps.items()) {
    auto [kind, node] = detail::named_item<StepFactory>(item, "step", registry);
    std::unique_ptr<Step> step;
    std::shared_ptr<StepSlot> slot;
    if (!kind.empty()) {
      slot = new_slot(kind, name_of(node));
      frame_.nodes[slot->place] = node;
      step = registry.find<StepFactory>(kind)->make(node, context_for(slot));
    }
    if (step) {
      add(std::move(slot), std::move(step));
    } else {
      frame_.complete = false;
    }
  }
}

StepContext StepChain::context_for(const std::shared_ptr<StepSlot>& slot) {
  StepFrame* frame = &frame_;
  StepContext context;
  context.shared = &frame->context;
  context.pipeline = frame->pipeline;
  context.place = slot->place;
  context.loop = frame->loop;
  context.alarm_changed = frame->alarm_changed;
  context.alarms = frame->alarms;
  context.raised = frame->raised;
  context.failed = [frame, slot](std::string_view what) {
    bump(slot->errors);
    frame->failed(what);
  };
  context.dropped = [frame, slot](std::uint64_t samples) {
    bump(slot->dropped, samples);
    frame->dropped(samples);
  };
  context.dead = [frame, slot](DeadLetter letter) {
    letter.where = fmt::format("step {} ({})", slot->place, slot->kind);
    frame->dead(std::move(letter));
  };
  context.chain = [frame](const config::Node& steps, std::string place, Output& out) -> std::unique_ptr<Chain> {
    if (std::count(place.begin(), place.end(), '.') > 2 * kDepthMax) {
      steps.problem(fmt::format("steps nest at most {} deep", kDepthMax));
      return nullptr;
    }
    auto chain = std::make_unique<StepChain>(*frame, place + ".", out);
    chain->read(steps);
    return chain;
  };
  return context;
}

void StepChain::push(Sample sample) { stages_.front()->emit(std::move(sample)); }

void StepChain::tick(base::WallMicros now) {
  for (std::size_t i = 0; i + 1 < stages_.size(); ++i) stages_[i]->tick(now);
}

void StepChain::flush() {
  for (std::size_t i = 0; i + 1 < stages_.size(); ++i) stages_[i]->flush();
}

bool StepChain::busy() const {
  return std::any_of(stages_.begin(), stages_.end() - 1, [](const auto& stage) { return stage->step().busy(); });
}

StepPlan StepChain::plan(const Shape& in) const {
  StepPlan whole{.out = in, .memory_bytes_max = 0, .problems = {}};
  for (std::size_t i = 0; i + 1 < stages_.size(); ++i) {
    const StepSlot& slot = stages_[i]->slot();
    const std::size_t line = frame_.lines.size();
    frame_.lines.push_back({slot.place, slot.kind, {}});  // before those of the steps inside it
    StepPlan plan = stages_[i]->step().plan(whole.out);
    const auto node = frame_.nodes.find(slot.place);
    for (const std::string& problem : plan.problems) {
      if (node != frame_.nodes.end()) node->second.problem(problem);
    }
    // One mistake is told once, not again by everything behind it.
    if (!plan.problems.empty()) plan.out.open = true;
    whole.out = plan.out;
    whole.memory_bytes_max += plan.memory_bytes_max;
    frame_.lines[line].plan = std::move(plan);
  }
  return whole;
}

std::vector<std::string> StepChain::identities() const {
  std::vector<std::string> result;
  for (std::size_t i = 0; i + 1 < stages_.size(); ++i) result.push_back(stages_[i]->slot().identity);
  return result;
}

void StepChain::adopt(Chain& other) {
  auto& before = static_cast<StepChain&>(other);
  const auto partner = successors(before.identities(), identities());
  for (std::size_t i = 0; i < partner.size(); ++i) {
    if (!partner[i]) continue;
    stages_[*partner[i]]->step().adopt(before.stages_[i]->step());
    take_over(before.stages_[i]->slot(), stages_[*partner[i]]->slot());
  }
  // What an old step emits from now on belongs behind its partner; where it has none, to the partner of the next one.
  for (std::size_t i = 0; i <= partner.size(); ++i) {
    Stage& stage = *before.stages_[i];
    if (i > 0 && partner[i - 1]) {
      stage.hand_to(*stages_[*partner[i - 1] + 1]);
    } else if (i == partner.size()) {
      stage.hand_to(*stages_.back());
    } else if (partner[i]) {
      stage.hand_to(*stages_[*partner[i]]);
    }
  }
}

}  // namespace penstock::ingest
