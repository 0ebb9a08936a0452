#include "ext/steps/llm/llm.h"

#include <deque>
#include <unordered_map>

#include "ingest/field_access.h"
#include "ingest/text_template.h"

namespace penstock::ext::steps {
namespace {

using namespace std::chrono_literals;
using ingest::Sample;
using ingest::TextTemplate;

constexpr std::size_t kAnswersKeptMax = 1000;
constexpr std::size_t kAnswerBytesMax = 64 * 1024;

enum class OnError { pass, skip, dead_letter };

struct Settings {
  std::string model;
  base::Secret key;
  TextTemplate prompt;
  std::string system;
  std::optional<ingest::Expression> when;
  std::string field;                                         // the whole answer goes there; or:
  std::vector<std::pair<std::string, std::string>> members;  // field and the member of the answer's JSON object
  std::int64_t max_tokens = 256;
  base::Duration timeout{};
  base::Duration spacing{};  // between two questions, from at_most; 0: none
  std::size_t burst = 1;     // questions that may come at once
  base::Duration cache{};
  std::size_t in_flight_max = 4;
  std::size_t waiting_max = 100;
  OnError on_error = OnError::pass;
};

// The JSON object in an answer: models like to put a fence or a sentence around it.
Result<json::Value> object_in(std::string_view answer) {
  const std::size_t begin = answer.find('{');
  const std::size_t end = answer.rfind('}');
  if (begin == std::string_view::npos || end == std::string_view::npos || end < begin) {
    return fail(Errc::protocol_error, "the answer holds no JSON object");
  }
  auto value = json::parse(answer.substr(begin, end - begin + 1));
  if (!value) return fail(Errc::protocol_error, "the answer's JSON cannot be read: " + value.error().detail);
  return value;
}

std::optional<ingest::Value> value_of(const json::Value& value) {
  if (value.is_string()) return ingest::Value(std::string(value.get_string()));
  if (value.is_bool()) return ingest::Value(value.get_bool());
  if (value.is_int64()) return ingest::Value(value.get_int64());
  if (value.is_uint64()) return ingest::Value(static_cast<double>(value.get_uint64()));
  if (value.is_double()) return ingest::Value(value.get_double());
  return std::nullopt;
}

// Shared with the callbacks, so that an answer after the step's end finds nobody and does no harm.
class Desk : public std::enable_shared_from_this<Desk> {
 public:
  Desk(Settings settings, ingest::StepContext context) : settings_(std::move(settings)), context_(std::move(context)) {}

  // What nobody waits for any more is given again by a durable source.
  ~Desk() {
    for (const auto& [sample, prompt] : waiting_) {
      if (sample.receipt) sample.receipt->abandon();
    }
  }

  void push(Sample sample, ingest::Output& out);
  void pump(ingest::Output& out);
  void flush(ingest::Output& out);
  bool busy() const { return in_flight_ > 0; }
  const Settings& settings() const { return settings_; }

 private:
  struct Kept {
    std::string answer;
    base::SteadyTime until;
  };

  base::SteadyTime now() const { return context_.shared->clock->steady(); }
  bool take_turn();
  const std::string* known(const std::string& prompt);
  void remember(const std::string& prompt, const std::string& answer);
  void ask(Sample sample, std::string prompt);
  void answered(Sample sample, Result<std::string> answer);
  Result<void> fill(Sample& sample, const std::string& answer) const;
  void failed(Sample sample, const std::string& why);

  Settings settings_;
  ingest::StepContext context_;
  ingest::Output* out_ = nullptr;
  std::deque<std::pair<Sample, std::string>> waiting_;
  std::size_t in_flight_ = 0;
  base::SteadyTime free_at_{};  // when a question's turn comes, were none asked before (GCRA)
  std::unordered_map<std::string, Kept> answers_;
};

void Desk::push(Sample sample, ingest::Output& out) {
  out_ = &out;
  if (settings_.when && !settings_.when->test(sample)) return out.emit(std::move(sample));
  std::string prompt = settings_.prompt.render(sample);
  if (const std::string* answer = known(prompt)) return answered(std::move(sample), *answer);
  if (!take_turn()) return out.emit(std::move(sample));
  if (waiting_.size() >= settings_.waiting_max) {
    return failed(std::move(sample),
                  fmt::format("{} samples wait for model '{}' already", settings_.waiting_max, settings_.model));
  }
  waiting_.emplace_back(std::move(sample), std::move(prompt));
  pump(out);
}

// Generic cell rate algorithm: `burst` at once, then one per `spacing`.
bool Desk::take_turn() {
  if (settings_.spacing == base::Duration{}) return true;
  const base::SteadyTime at = now();
  const base::SteadyTime begin = std::max(free_at_, at);
  if (begin - at > settings_.spacing * static_cast<std::int64_t>(settings_.burst - 1)) return false;
  free_at_ = begin + settings_.spacing;
  return true;
}

const std::string* Desk::known(const std::string& prompt) {
  const auto found = answers_.find(prompt);
  if (found == answers_.end()) return nullptr;
  if (now() < found->second.until) return &found->second.answer;
  answers_.erase(found);
  return nullptr;
}

void Desk::remember(const std::string& prompt, const std::string& answer) {
  if (settings_.cache == base::Duration{}) return;
  if (answers_.size() >= kAnswersKeptMax) answers_.clear();
  answers_[prompt] = {answer, now() + settings_.cache};
}

void Desk::pump(ingest::Output& out) {
  out_ = &out;
  while (!waiting_.empty() && in_flight_ < settings_.in_flight_max) {
    auto [sample, prompt] = std::move(waiting_.front());
    waiting_.pop_front();
    ask(std::move(sample), std::move(prompt));
  }
}

void Desk::ask(Sample sample, std::string prompt) {
  const ingest::Context* shared = context_.shared;
  if (shared == nullptr || shared->llm == nullptr || context_.loop == nullptr) {
    return failed(std::move(sample), "there are no language models here");
  }
  ++in_flight_;
  ingest::LlmQuestion question{.key = settings_.key,
                               .model = settings_.model,
                               .system = settings_.system,
                               .prompt = prompt,
                               .max_tokens = settings_.max_tokens,
                               .timeout = settings_.timeout};
  auto kept = std::make_shared<std::pair<Sample, std::string>>(std::move(sample), std::move(prompt));
  shared->llm->ask(*context_.loop, std::move(question), [weak = weak_from_this(), kept](Result<std::string> answer) {
    auto self = weak.lock();
    if (!self) {
      if (kept->first.receipt) kept->first.receipt->abandon();
      return;
    }
    --self->in_flight_;
    if (answer) self->remember(kept->second, *answer);
    self->answered(std::move(kept->first), std::move(answer));
    self->pump(*self->out_);
  });
}

void Desk::answered(Sample sample, Result<std::string> answer) {
  if (!answer) return failed(std::move(sample), answer.error().detail);
  if (auto filled = fill(sample, *answer); !filled) return failed(std::move(sample), filled.error().detail);
  out_->emit(std::move(sample));
}

Result<void> Desk::fill(Sample& sample, const std::string& answer) const {
  if (answer.size() > kAnswerBytesMax) return fail(Errc::out_of_range, "the answer is longer than 64 KiB");
  if (!settings_.field.empty()) {
    sample.set(settings_.field, answer);
    return {};
  }
  auto object = object_in(answer);
  if (!object) return std::unexpected(object.error());
  std::vector<ingest::Value> values;
  for (const auto& [field, member] : settings_.members) {
    const json::Value* found = object->get_object().if_contains(member);
    auto value = found == nullptr ? std::nullopt : value_of(*found);
    if (!value) {
      return fail(Errc::protocol_error,
                  fmt::format("the answer's JSON has no '{}' that is a text, number or truth value", member));
    }
    values.push_back(std::move(*value));
  }
  for (std::size_t i = 0; i < values.size(); ++i) sample.set(settings_.members[i].first, std::move(values[i]));
  return {};
}

void Desk::failed(Sample sample, const std::string& why) {
  const std::string what = fmt::format("llm: model '{}': {}", settings_.model, why);
  if (settings_.on_error == OnError::dead_letter) return context_.error(what, std::move(sample));
  context_.error(what);
  if (settings_.on_error == OnError::pass && out_ != nullptr) out_->emit(std::move(sample));
}

// At the end nobody waits: what was not asked passes on as it is.
void Desk::flush(ingest::Output& out) {
  for (auto& [sample, prompt] : std::exchange(waiting_, {})) out.emit(std::move(sample));
}

class Llm : public ingest::Step {
 public:
  explicit Llm(std::shared_ptr<Desk> desk) : desk_(std::move(desk)) {}
  void push(Sample sample, ingest::Output& out) override { desk_->push(std::move(sample), out); }
  void flush(ingest::Output& out) override { desk_->flush(out); }
  bool busy() const override { return desk_->busy(); }

  ingest::StepPlan plan(const ingest::Shape& in) const override {
    using Kind = ingest::FieldType::Kind;
    const Settings& settings = desk_->settings();
    ingest::StepPlan plan{.out = in, .problems = {}};
    plan.memory_bytes_max = kAnswersKeptMax * (kAnswerBytesMax + TextTemplate::kBytesMax) +
                            (settings.waiting_max + settings.in_flight_max) * (TextTemplate::kBytesMax + 4096);
    if (settings.when) settings.when->gives(in, plan);
    const bool certain = settings.on_error != OnError::pass && !settings.when;
    if (!settings.field.empty()) plan.out.fields[settings.field] = {certain ? Kind::text : Kind::unknown, ""};
    for (const auto& [field, member] : settings.members) plan.out.fields[field] = {};
    return plan;
  }

 private:
  std::shared_ptr<Desk> desk_;
};

void read_output(const config::Node& node, Settings& settings) {
  if (node.kind() != config::Node::Kind::map) {
    settings.field = node.text();
    return;
  }
  for (const auto& [field, member] : node.map().entries()) settings.members.emplace_back(field, member.text());
  if (settings.members.empty())
    node.problem("names no field; write advice, or { severity: severity } for members of JSON");
}

// "6/min": one in ten seconds, six at once.
void read_rate(config::Map& map, Settings& settings) {
  if (!map.has("at_most")) return;
  const double rate = map.rate("at_most", 0);
  if (!(rate > 0)) return map.get("at_most").problem("must be more than nothing");
  settings.spacing = std::chrono::duration_cast<base::Duration>(std::chrono::duration<double>(1 / rate));
  const std::string written = map.text("at_most");
  settings.burst = static_cast<std::size_t>(std::clamp(std::strtod(written.c_str(), nullptr), 1.0, 1000.0));
}

}  // namespace

std::unique_ptr<ingest::Step> make_llm(const config::Node& node, const ingest::StepContext& context) {
  config::Map map = node.map();
  Settings settings;
  settings.model = map.required_text("model");
  settings.key = map.secret("key");
  const config::Node prompt = map.required("prompt");
  auto read = prompt.present() ? TextTemplate::read(prompt) : std::nullopt;
  settings.system = map.text("system");
  const config::Node when = map.get("when");
  if (when.present()) settings.when = ingest::Expression::compile(when, ingest::Expression::Wants::condition);
  const config::Node output = map.required("output");
  if (output.present()) read_output(output, settings);
  settings.max_tokens = map.integer("max_tokens", 256, 1, 100'000);
  settings.timeout = map.duration("timeout", 30s);
  settings.cache = map.duration("cache", {});
  settings.in_flight_max = static_cast<std::size_t>(map.integer("in_flight", 4, 1, 64));
  settings.waiting_max = static_cast<std::size_t>(map.integer("waiting", 100, 1, 10'000));
  read_rate(map, settings);
  const std::string on_error = map.choice("on_error", {"pass", "skip", "dead_letter"}, "pass");
  settings.on_error = on_error == "skip" ? OnError::skip : on_error == "pass" ? OnError::pass : OnError::dead_letter;
  map.done();
  if (settings.timeout <= base::Duration{}) map.get("timeout").problem("must be more than nothing");
  if (!read || !output.present() || settings.model.empty() || (when.present() && !settings.when)) return nullptr;
  settings.prompt = std::move(*read);
  return std::make_unique<Llm>(std::make_shared<Desk>(std::move(settings), context));
}

}  // namespace penstock::ext::steps
