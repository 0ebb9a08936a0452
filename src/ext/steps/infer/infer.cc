#include "ext/steps/infer/infer.h"

#include <deque>

#include "ingest/expr.h"
#include "ingest/shape_lookup.h"

namespace penstock::ext::steps {
namespace {

using ingest::Expression;
using ingest::NamedArray;
using ingest::Sample;

// Answers the step waits for at once; more than one lets the model batch.
constexpr std::size_t kInFlightMax = 64;
// Samples in the queue. When full the newest is treated like a failed one.
constexpr std::size_t kWaitingMax = 1024;
// Those that failed and go on all the same keep their place in it; beyond this they are given up.
constexpr std::size_t kHeldMax = 4096;

enum class OnError { skip, pass, null };

struct Settings {
  std::string model;
  std::vector<std::pair<std::string, Expression>> inputs;
  std::vector<std::pair<std::string, Expression>> outputs;
  base::Duration timeout{};
  OnError on_error = OnError::skip;
};

struct Entry {
  enum class State { waiting, asked, done, failed };
  std::shared_ptr<const Settings> settings;  // it came in with; a reload may have changed the queue's
  Sample sample;
  std::vector<NamedArray> inputs;
  State state = State::waiting;
};

// Shared with the callbacks, so that an answer after the step's end finds nobody and does no harm.
class Queue : public std::enable_shared_from_this<Queue> {
 public:
  Queue(std::shared_ptr<const Settings> settings, ingest::StepContext context)
      : settings_(std::move(settings)), context_(std::move(context)) {}
  ~Queue();
  Queue(const Queue&) = delete;
  Queue& operator=(const Queue&) = delete;

  void push(Sample sample, ingest::Output& out);
  // What came behind a standstill (a reload) goes on.
  void tick(ingest::Output& out);
  bool busy() const { return !entries_.empty(); }
  // From here on for another step, with its settings.
  void belong_to(std::shared_ptr<const Settings> settings, ingest::StepContext context);

 private:
  bool fill(Entry& entry) const;
  void ask_next();
  void ask(const std::shared_ptr<Entry>& entry);
  void answered(Entry& entry, Result<std::vector<NamedArray>> answer);
  void fail(Entry& entry, const std::string& what) const;
  bool store(Entry& entry, std::vector<NamedArray> outputs) const;
  void emit_ready();

  std::shared_ptr<const Settings> settings_;
  ingest::StepContext context_;
  ingest::Output* out_ = nullptr;
  std::deque<std::shared_ptr<Entry>> entries_;  // in order of arrival; leave from the front only
  std::size_t in_flight_ = 0;
  bool asking_ = false;
};

// Samples nobody answered for are not delivered: their source gives them again.
Queue::~Queue() {
  for (const auto& entry : entries_) {
    if (entry->sample.receipt) entry->sample.receipt->abandon();
  }
}

void Queue::belong_to(std::shared_ptr<const Settings> settings, ingest::StepContext context) {
  settings_ = std::move(settings);
  context_ = std::move(context);
  out_ = nullptr;
}

// Counted, shown, and put into the dead-letter store where the sample ends here.
void Queue::fail(Entry& entry, const std::string& what) const {
  entry.state = Entry::State::failed;
  if (entry.settings->on_error != OnError::skip) return context_.error(what);
  context_.error(what, entry.sample);
}

bool Queue::fill(Entry& entry) const {
  for (const auto& [name, expression] : settings_->inputs) {
    ingest::Term term = expression.evaluate(entry.sample);
    NamedArray array;
    array.name = name;
    if (term.kind == ingest::Term::Kind::array) {
      array.data.assign(term.array.begin(), term.array.end());
    } else if (term.kind == ingest::Term::Kind::number) {
      array.data.assign(1, term.number);
    } else {
      fail(entry, fmt::format("infer: input '{}' ({}) has no value in this sample", name, expression.text()));
      return false;
    }
    array.shape = {1, static_cast<std::int64_t>(array.data.size())};
    entry.inputs.push_back(std::move(array));
  }
  return true;
}

void Queue::push(Sample sample, ingest::Output& out) {
  out_ = &out;
  auto entry = std::make_shared<Entry>();
  entry->settings = settings_;
  entry->sample = std::move(sample);
  if (entries_.size() >= kWaitingMax) {
    const std::string what = fmt::format("infer: {} samples wait for model '{}': it is too slow for this rate",
                                         entries_.size(), settings_->model);
    if (entries_.size() >= kHeldMax) return context_.error(what, entry->sample);
    fail(*entry, what);
  } else {
    (void)fill(*entry);
  }
  // It ends here: no place in the queue is kept for it.
  if (entry->state == Entry::State::failed && settings_->on_error == OnError::skip) return;
  entries_.push_back(std::move(entry));
  ask_next();
  emit_ready();
}

void Queue::tick(ingest::Output& out) {
  if (out_ != nullptr) return;
  out_ = &out;
  ask_next();
  emit_ready();
}

void Queue::ask_next() {
  // A model that answers at once calls back from within ask(): the loop below goes on, it does not nest.
  if (asking_) return;
  asking_ = true;
  for (std::size_t i = 0; i < entries_.size() && in_flight_ < kInFlightMax; ++i) {
    if (entries_[i]->state == Entry::State::waiting) ask(entries_[i]);
  }
  asking_ = false;
}

void Queue::ask(const std::shared_ptr<Entry>& entry) {
  const ingest::Context* shared = context_.shared;
  if (shared == nullptr || shared->models == nullptr || context_.loop == nullptr) {
    return fail(*entry, "infer: there are no models here");
  }
  entry->state = Entry::State::asked;
  ++in_flight_;
  shared->models->infer(*context_.loop, entry->settings->model, std::move(entry->inputs), entry->settings->timeout,
                        [weak = weak_from_this(), entry](Result<std::vector<NamedArray>> answer) {
                          if (auto self = weak.lock()) self->answered(*entry, std::move(answer));
                        });
}

void Queue::answered(Entry& entry, Result<std::vector<NamedArray>> answer) {
  --in_flight_;
  if (!answer) {
    fail(entry, fmt::format("infer: model '{}': {}", entry.settings->model, answer.error().detail));
  } else if (store(entry, std::move(*answer))) {
    entry.state = Entry::State::done;
  }
  if (asking_) return;
  ask_next();
  emit_ready();
}

// Output expressions see the model's outputs as fields of their names.
bool Queue::store(Entry& entry, std::vector<NamedArray> outputs) const {
  Sample& sample = entry.sample;
  Sample answer;
  answer.device = sample.device;
  answer.event_time = sample.event_time;
  for (NamedArray& output : outputs) answer.fields.push_back({std::move(output.name), std::move(output.data), {}});
  for (const auto& [name, expression] : entry.settings->outputs) {
    auto value = ingest::to_value(expression.evaluate(answer));
    if (!value) {
      fail(entry, fmt::format("infer: output '{}' ({}) is not in the answer of model '{}'", name, expression.text(),
                              entry.settings->model));
      return false;
    }
    sample.set(name, std::move(*value));
  }
  return true;
}

void Queue::emit_ready() {
  while (out_ != nullptr && !entries_.empty() && entries_.front()->state >= Entry::State::done) {
    std::shared_ptr<Entry> entry = std::move(entries_.front());
    entries_.pop_front();
    OnError on_error = entry->settings->on_error;
    if (entry->state == Entry::State::failed && on_error == OnError::skip) continue;
    if (entry->state == Entry::State::failed && on_error == OnError::null) {
      std::erase_if(entry->sample.fields, [&](const ingest::Field& field) {
        return std::any_of(entry->settings->outputs.begin(), entry->settings->outputs.end(),
                           [&](const auto& output) { return output.first == field.name; });
      });
    }
    out_->emit(std::move(entry->sample));
  }
}

class Infer : public ingest::Step {
 public:
  Infer(Settings settings, ingest::StepContext context)
      : settings_(std::make_shared<const Settings>(std::move(settings))),
        context_(std::move(context)),
        queue_(std::make_shared<Queue>(settings_, context_)) {}

  void push(Sample sample, ingest::Output& out) override { queue_->push(std::move(sample), out); }
  void tick(base::WallMicros, ingest::Output& out) override { queue_->tick(out); }
  bool busy() const override { return queue_->busy(); }

  // Samples under way are answered as they were asked; those behind them keep their order.
  void adopt(Step& before) override {
    auto* other = dynamic_cast<Infer*>(&before);
    if (other == nullptr) return;
    queue_ = std::exchange(other->queue_, std::make_shared<Queue>(other->settings_, other->context_));
    queue_->belong_to(settings_, context_);
  }

  ingest::StepPlan plan(const ingest::Shape& in) const override {
    ingest::StepPlan plan;
    plan.out = in;
    std::uint64_t inputs = 0;
    for (const auto& [name, expression] : settings_->inputs) {
      const std::uint64_t values = std::max<std::uint64_t>(1, ingest::array_values(expression.gives(in, plan)));
      inputs += sizeof(NamedArray) + name.size() + sizeof(std::int64_t) * 2 + values * sizeof(double);
    }
    for (const auto& [name, expression] : settings_->outputs) plan.out.fields[name] = {};
    plan.memory_bytes_max = kHeldMax * (sizeof(Entry) + ingest::held_bytes(in)) + kWaitingMax * inputs;
    return plan;
  }

 private:
  std::shared_ptr<const Settings> settings_;
  ingest::StepContext context_;
  std::shared_ptr<Queue> queue_;
};

// { name: "expression" }
std::vector<std::pair<std::string, Expression>> read_expressions(const config::Node& node, Expression::Wants wants) {
  std::vector<std::pair<std::string, Expression>> result;
  if (!node.present()) return result;
  config::Map map = node.map();
  for (const auto& [name, entry] : map.entries()) {
    auto expression = Expression::compile(entry, wants);
    if (expression) result.emplace_back(name, std::move(*expression));
  }
  if (map.keys().empty()) node.problem("is empty; write { name: \"expression\" }");
  return result;
}

}  // namespace

std::unique_ptr<ingest::Step> make_infer(const config::Node& node, const ingest::StepContext& context) {
  using namespace std::chrono_literals;
  config::Map map = node.map();
  Settings settings;
  settings.model = map.required_text("model");
  settings.inputs = read_expressions(map.required("input"), Expression::Wants::array);
  settings.outputs = read_expressions(map.required("output"), Expression::Wants::any);
  settings.timeout = map.duration("timeout", 1s);
  // `null` without quotes is YAML's own null.
  bool yaml_null = map.get("on_error").kind() == config::Node::Kind::null;
  std::string on_error = yaml_null ? "null" : map.choice("on_error", {"skip", "pass", "null"}, "skip");
  settings.on_error = on_error == "pass" ? OnError::pass : on_error == "null" ? OnError::null : OnError::skip;
  map.done();
  if (settings.model.empty() || settings.inputs.empty() || settings.outputs.empty()) return nullptr;
  return std::make_unique<Infer>(std::move(settings), context);
}

}  // namespace penstock::ext::steps
