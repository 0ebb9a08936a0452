#include "infer/traffic.h"

#include <cmath>
#include <set>

#include "infer/agreement.h"
#include "infer/canary_judge.h"
#include "infer/model_config.h"
#include "infer/published.h"
#include "infer/seq_locked.h"
#include "infer/traffic_memory.h"
#include "infer/traffic_plan.h"

namespace penstock::infer {
namespace {

using Stage = CanaryView::Stage;

// How often counts are looked at while calls come: often enough that a bad canary has answered few of them.
constexpr base::Duration kLookEvery = std::chrono::milliseconds(20);
// How much evidence a crash may cost.
constexpr base::Duration kSaveEvery = std::chrono::seconds(30);
// Requests that are run twice to compare, of all of the model: what a canary may cost.
constexpr double kComparedShare = 0.1;
// Of a call without an answer. One that was given up, or is under way, for longer than the first may have been a
// failure; one that was given up after the second was one.
constexpr base::Duration kUnclearAfter = std::chrono::seconds(1);
constexpr base::Duration kHungAfter = std::chrono::seconds(10);

// A count on the path of requests. What was counted is taken away at every look, long before it could overflow.
class Tap {
 public:
  void add(bool bad) { both_.fetch_add(bad ? kBad + 1 : 1, std::memory_order_relaxed); }
  void drain(Count& into) {
    std::uint64_t both = both_.exchange(0, std::memory_order_relaxed);
    into.calls += both % kBad;
    into.bad += both / kBad;
  }

 private:
  static constexpr std::uint64_t kBad = std::uint64_t{1} << 32;
  std::atomic<std::uint64_t> both_{0};
};

double as_odds(double evidence) { return std::exp(std::min(evidence, 50.0)); }

// { "stable: 3", ... }, { "3: 90 %", ... }
std::vector<std::string> texts_of(const std::map<std::string, std::int64_t>& labels) {
  std::vector<std::string> texts;
  for (const auto& [name, version] : labels) texts.push_back(fmt::format("{}: {}", name, version));
  return texts;
}
std::vector<std::string> texts_of(const std::map<std::int64_t, double>& split) {
  std::vector<std::string> texts;
  for (const auto& [version, share] : split) texts.push_back(fmt::format("{}: {}", version, format_share(share)));
  return texts;
}

Wish with(const Wish& by, const std::string& change) {
  return {.actor = by.actor, .why = by.why.empty() ? change : fmt::format("{}; {}", change, by.why)};
}

// Traffic of one configured model.
//
// Requests read the plan and add to taps, nothing else. Every kLookEvery one of them, whichever gets there first, looks
// at the counts under the mutex: some microseconds; the journal only queues. So no thread is needed, and a canary that
// nobody calls is not judged.
class ModelTraffic final : public Traffic, public Watcher {
 public:
  ModelTraffic(const ModelConfig& model, Journal* journal, const base::Clock& clock);
  ~ModelTraffic() override;

  Choice choose(std::string_view sticky, std::span<const std::int64_t> ready) override;
  std::int64_t usual(std::span<const std::int64_t> ready) const override { return infer::usual(plan_.read(), ready); }
  std::optional<std::int64_t> labelled(std::string_view label) const override;
  std::vector<std::int64_t> wanted() const override;
  std::vector<std::int64_t> trials() const override;
  Watcher* watcher() override { return watching_.load(std::memory_order_relaxed) || config_.shadow ? this : nullptr; }
  TrafficView view() override;
  Result<void> promote(std::int64_t version, const Wish& by) override;
  Result<void> roll_back(const Wish& by) override;
  Result<void> set_labels(std::optional<std::map<std::string, std::int64_t>> labels, const Wish& by) override;
  Result<void> set_split(std::optional<std::map<std::int64_t, double>> split, const Wish& by) override;

  void finished(const Outcome& outcome) override;
  void began(std::int64_t version, base::SteadyTime arrived) override;
  void ended(std::int64_t version, base::SteadyTime arrived) override;
  void compared(std::int64_t version, const Response& answered, std::int64_t other,
                const Result<Response>& shadow) override;

 private:
  bool is_canary(std::int64_t version) const { return config_.canary && config_.canary->version == version; }
  std::int64_t promoted() const;  // 0: none
  const std::map<std::string, std::int64_t>& labels() const {
    return memory_.labels ? *memory_.labels : config_.labels;
  }
  const std::map<std::int64_t, double>& split() const { return memory_.split ? *memory_.split : config_.split; }
  using Labels = std::map<std::string, std::int64_t, std::less<>>;
  Labels all_labels() const;
  void take_up();
  Result<void> known();
  void publish();
  void look_when_due();
  void look();
  void drain();
  void decide(Stage stage, std::string words, const Wish& by);
  Result<void> record(std::string action, std::int64_t from, std::int64_t to, const Wish& by);
  Result<void> recorded(Result<void> queued, std::unique_lock<std::mutex>& lock);
  Result<void> save(bool decision = false);
  std::vector<Count> counts_now() const;
  CanaryView canary_view() const;

  const std::string name_;
  const TrafficConfig config_;
  Journal* const journal_;
  const base::Clock& clock_;

  SeqLocked<TrafficPlan> plan_;
  Published<Labels> labels_{std::make_unique<const Labels>()};
  std::atomic<bool> watching_{false};
  std::atomic<std::int64_t> next_look_{0};
  std::atomic<std::int64_t> beside_{0};  // what the canary was last chosen instead of
  alignas(64) std::array<Tap, kRulesMax> taps_;
  alignas(64) std::array<Tap, kRulesMax> other_taps_;
  std::atomic<std::uint64_t> unclear_{0};  // calls that the canary may have failed
  Tap shadow_failed_, shadow_differed_;

  mutable std::mutex under_way_mutex_;
  std::multiset<base::SteadyTime> under_way_;  // when the canary's calls came that have not ended; while it is watched

  mutable std::mutex mutex_;  // guards what follows, and writing to plan_ and labels_; held while nothing waits for the
                              // disk, but once more for what could not be read
  TrafficMemory memory_;
  std::int64_t serial_ = 0;
  base::SteadyTime watched_since_{};
  base::SteadyTime saved_{};
  bool unsaved_ = false;         // a decision that the journal did not take
  std::optional<Error> unread_;  // why it is not known what was decided before: the canary gets nothing meanwhile
  ShadowView shadow_;
};

ModelTraffic::ModelTraffic(const ModelConfig& model, Journal* journal, const base::Clock& clock)
    : name_(model.name), config_(model.traffic), journal_(journal), clock_(clock) {
  if (config_.shadow) shadow_ = {.version = config_.shadow->version, .share = config_.shadow->share};
  take_up();
}

// Reads what is kept. Under the mutex, or before anybody knows of this.
void ModelTraffic::take_up() {
  Result<KeptState> kept = journal_ == nullptr ? KeptState() : journal_->kept(name_);
  unread_.reset();
  if (!kept) unread_ = kept.error();
  bool changed = false;
  memory_ = TrafficMemory::from_text(kept ? kept->text : "", config_, changed);
  serial_ = kept ? kept->serial : 0;
  watched_since_ = saved_ = clock_.steady();
  publish();
  if (!changed) return;
  // What runs under the configuration before must not write over what begins now.
  ++serial_;
  unsaved_ = !save();
}

// Commands change what was decided before. Under the mutex.
Result<void> ModelTraffic::known() {
  if (unread_) take_up();
  if (!unread_) return {};
  return fail(Errc::unavailable,
              fmt::format("what was decided about model '{}' before cannot be read: {}", name_, unread_->detail));
}

ModelTraffic::~ModelTraffic() {
  if (!watching_.load() && !unsaved_) return;
  drain();
  (void)save();
}

std::int64_t ModelTraffic::promoted() const {
  return config_.canary && memory_.stage == Stage::promoted ? config_.canary->version : memory_.promoted;
}

ModelTraffic::Labels ModelTraffic::all_labels() const {
  Labels all(labels().begin(), labels().end());
  if (promoted() != 0 && !memory_.labels) all["stable"] = promoted();
  if (config_.canary) all.try_emplace("canary", config_.canary->version);
  return all;
}

// Under the mutex, or before anybody knows of this.
void ModelTraffic::publish() {
  TrafficPlan plan;
  plan.promoted = promoted();
  auto stable = labels().find("stable");
  plan.stable = stable == labels().end() ? 0 : stable->second;
  for (const auto& [version, share] : split()) {
    if (plan.parts < kSplitMax) plan.split[plan.parts++] = {version, share};
  }
  bool watching = config_.canary && memory_.stage == Stage::watching && !unread_;
  if (config_.canary && memory_.stage != Stage::promoted) plan.on_trial = config_.canary->version;
  if (watching) {
    plan.canary = config_.canary->version;
    plan.canary_share = config_.canary->share;
    bool compares = std::any_of(config_.canary->rules.begin(), config_.canary->rules.end(),
                                [](const CanaryRule& rule) { return rule.kind == CanaryRule::Kind::disagreement; });
    if (compares) plan.compare_share = std::min(1.0, kComparedShare / plan.canary_share);
  }
  if (config_.shadow) {
    plan.shadow = config_.shadow->version;
    plan.shadow_share = config_.shadow->share;
  }
  plan_.write(plan);
  labels_.replace(std::make_unique<const Labels>(all_labels()));
  watching_.store(watching);
  if (watching) return;
  std::lock_guard lock(under_way_mutex_);
  under_way_.clear();
}

Choice ModelTraffic::choose(std::string_view sticky, std::span<const std::int64_t> ready) {
  if (ready.size() == 1) return {.version = ready.front()};
  TrafficPlan plan = plan_.read();
  if (plan.parts == 0 && plan.canary == 0 && plan.shadow == 0) return {.version = infer::usual(plan, ready)};
  Choice choice = infer::choose(plan, draw(name_, sticky), ready);
  if (choice.fallback) beside_.store(*choice.fallback, std::memory_order_relaxed);
  return choice;
}

std::optional<std::int64_t> ModelTraffic::labelled(std::string_view label) const {
  auto labels = labels_.read();
  auto found = labels->find(label);
  return found == labels->end() ? std::nullopt : std::optional(found->second);
}

std::vector<std::int64_t> ModelTraffic::wanted() const {
  std::lock_guard lock(mutex_);
  std::vector<std::int64_t> versions;
  for (const auto& [name, version] : labels()) versions.push_back(version);
  for (const auto& [version, share] : split()) versions.push_back(version);
  if (config_.canary && memory_.stage != Stage::rolled_back) versions.push_back(config_.canary->version);
  if (config_.shadow) versions.push_back(config_.shadow->version);
  if (memory_.promoted != 0) versions.push_back(memory_.promoted);
  std::sort(versions.begin(), versions.end());
  versions.erase(std::unique(versions.begin(), versions.end()), versions.end());
  return versions;
}

std::vector<std::int64_t> ModelTraffic::trials() const {
  std::vector<std::int64_t> versions;
  if (config_.canary) versions.push_back(config_.canary->version);
  if (config_.shadow) versions.push_back(config_.shadow->version);
  return versions;
}

// Whether it was a bad call in the sense of the rule; nothing where it says nothing. A call without an answer is slow
// once the bound has passed, and never fast.
std::optional<bool> is_bad(const CanaryRule& rule, const Outcome& outcome) {
  bool answered = !outcome.failed && !outcome.given_up;
  switch (rule.kind) {
    case CanaryRule::Kind::errors:
      if (outcome.given_up) return outcome.total > kHungAfter ? std::optional(true) : std::nullopt;
      return outcome.failed;
    case CanaryRule::Kind::latency:
      if (outcome.total > rule.bound) return true;
      return answered ? std::optional(false) : std::nullopt;
    case CanaryRule::Kind::disagreement: break;
  }
  return std::nullopt;
}

void ModelTraffic::finished(const Outcome& outcome) {
  if (!watching_.load(std::memory_order_relaxed)) return;
  bool canary = is_canary(outcome.version);
  auto& taps = canary ? taps_ : other_taps_;
  for (std::size_t i = 0; i < config_.canary->rules.size(); ++i) {
    if (auto bad = is_bad(config_.canary->rules[i], outcome)) taps[i].add(*bad);
  }
  if (!canary) return;
  if (outcome.given_up && outcome.total > kUnclearAfter && outcome.total <= kHungAfter)
    unclear_.fetch_add(1, std::memory_order_relaxed);
  look_when_due();
}

void ModelTraffic::began(std::int64_t version, base::SteadyTime arrived) {
  if (!is_canary(version)) return;
  {
    std::lock_guard lock(under_way_mutex_);
    if (!watching_.load(std::memory_order_relaxed)) return;
    under_way_.insert(arrived);
  }
  look_when_due();  // it may be that none ever ends
}

void ModelTraffic::ended(std::int64_t version, base::SteadyTime arrived) {
  if (!is_canary(version)) return;
  std::lock_guard lock(under_way_mutex_);
  if (auto found = under_way_.find(arrived); found != under_way_.end()) under_way_.erase(found);
}

void ModelTraffic::compared(std::int64_t version, const Response& answered, std::int64_t other,
                            const Result<Response>& shadow) {
  bool of_canary = watching_.load(std::memory_order_relaxed) && (is_canary(version) || is_canary(other));
  bool of_shadow = config_.shadow && config_.shadow->version == other;
  if (of_shadow) shadow_failed_.add(!shadow);
  // That the old version failed says nothing about the new one.
  if (!shadow && !is_canary(other)) return;
  bool differs = !shadow || !agree(answered, *shadow, config_.compare);
  if (of_shadow && shadow) shadow_differed_.add(differs);
  if (!of_canary) return;
  for (std::size_t i = 0; i < config_.canary->rules.size(); ++i) {
    if (config_.canary->rules[i].kind == CanaryRule::Kind::disagreement) taps_[i].add(differs);
  }
  look_when_due();
}

void ModelTraffic::look_when_due() {
  std::int64_t now = clock_.steady().time_since_epoch().count();
  std::int64_t due = next_look_.load(std::memory_order_relaxed);
  if (now < due || !next_look_.compare_exchange_strong(due, now + kLookEvery.count())) return;
  std::unique_lock lock(mutex_, std::try_to_lock);
  if (lock) look();
}

// Under the mutex.
void ModelTraffic::drain() {
  for (std::size_t i = 0; i < memory_.counts.size(); ++i) {
    taps_[i].drain(memory_.counts[i]);
    other_taps_[i].drain(memory_.others[i]);
  }
  std::uint64_t unclear = unclear_.exchange(0, std::memory_order_relaxed);
  for (std::size_t i = 0; i < memory_.counts.size(); ++i) {
    if (config_.canary->rules[i].kind == CanaryRule::Kind::errors) memory_.counts[i].unclear += unclear;
  }
  shadow_failed_.drain(shadow_.failed);
  shadow_differed_.drain(shadow_.differed);
  base::SteadyTime now = clock_.steady();
  if (watching_.load(std::memory_order_relaxed)) memory_.watched += now - watched_since_;
  watched_since_ = now;
}

// With the calls under way: if only those that ended counted, a canary that hangs would look faultless. They are slow
// from the bound on, whenever they end; whether they fail is not known. Under the mutex.
std::vector<Count> ModelTraffic::counts_now() const {
  std::vector<Count> counts = memory_.counts;
  base::SteadyTime now = clock_.steady();
  std::lock_guard lock(under_way_mutex_);
  auto older_than = [&](base::Duration age) {
    return static_cast<std::uint64_t>(std::distance(under_way_.begin(), under_way_.lower_bound(now - age)));
  };
  for (std::size_t i = 0; i < counts.size(); ++i) {
    const CanaryRule& rule = config_.canary->rules[i];
    if (rule.kind == CanaryRule::Kind::errors) counts[i].unclear += older_than(kUnclearAfter);
    if (rule.kind != CanaryRule::Kind::latency) continue;
    std::uint64_t slow = older_than(rule.bound);
    counts[i].calls += slow;
    counts[i].bad += slow;
  }
  return counts;
}

// Under the mutex.
void ModelTraffic::look() {
  drain();
  if (!watching_.load(std::memory_order_relaxed)) return;
  const CanaryConfig& canary = *config_.canary;
  std::vector<Count> counts = counts_now();
  Verdict verdict = judge(canary, counts, memory_.watched);
  if (verdict == Verdict::watch) {
    if (clock_.steady() - saved_ >= kSaveEvery) (void)save();
    return;
  }
  Stage stage = verdict == Verdict::promote ? Stage::promoted : Stage::rolled_back;
  std::string words = explain(verdict, canary, counts, memory_.others, memory_.watched);
  decide(stage, words, {.actor = "canary", .why = words});
}

// In force first: the disk may be slow. Under the mutex.
void ModelTraffic::decide(Stage stage, std::string words, const Wish& by) {
  std::int64_t from = promoted();
  memory_.stage = stage;
  memory_.decided = clock_.wall();
  memory_.words = std::move(words);
  publish();
  std::int64_t beside = beside_.load(std::memory_order_relaxed);
  bool forward = stage == Stage::promoted;
  std::int64_t canary = config_.canary->version;
  unsaved_ = !record(forward ? "promote" : "rollback", forward ? (from != 0 ? from : beside) : canary,
                     forward ? canary : (promoted() != 0 ? promoted() : beside), by);
}

// Under the mutex.
Result<void> ModelTraffic::record(std::string action, std::int64_t from, std::int64_t to, const Wish& by) {
  if (journal_ == nullptr) return {};
  ++serial_;
  Result<void> saved = save(true);
  Result<void> noted = journal_->append({clock_.wall(), name_, std::move(action), from, to, by});
  return saved ? noted : saved;
}

Result<void> ModelTraffic::save(bool decision) {
  saved_ = clock_.steady();
  if (journal_ == nullptr) return {};
  return journal_->keep(name_, {.text = memory_.to_text(config_), .serial = serial_, .decision = decision});
}

// What a command answers. The disk is waited for without the mutex.
Result<void> ModelTraffic::recorded(Result<void> queued, std::unique_lock<std::mutex>& lock) {
  if (journal_ == nullptr) return {};
  lock.unlock();
  Result<void> kept = queued ? journal_->flush() : queued;
  if (kept) return {};
  lock.lock();
  unsaved_ = true;
  return fail(
      kept.error().code,
      fmt::format("it is in force, but could not be written down and ends with a restart: {}", kept.error().detail));
}

Result<void> ModelTraffic::promote(std::int64_t version, const Wish& by) {
  std::unique_lock lock(mutex_);
  if (auto before = known(); !before) return before;
  if (version == 0 && !config_.canary)
    return fail(Errc::failed_precondition, fmt::format("model '{}' has no canary; name a version", name_));
  if (version == 0) version = config_.canary->version;
  std::int64_t from = promoted();
  if (from == version)
    return fail(Errc::failed_precondition, fmt::format("version {} of model '{}' is promoted already", version, name_));
  drain();
  if (is_canary(version)) {
    decide(Stage::promoted, fmt::format("promoted by {}{}{}", by.actor, by.why.empty() ? "" : ": ", by.why), by);
    return recorded(unsaved_ ? fail(Errc::backpressure, "too much waits for the disk") : Result<void>(), lock);
  }
  if (config_.canary && memory_.stage == Stage::promoted) {
    memory_.stage = Stage::rolled_back;
    memory_.decided = clock_.wall();
    memory_.words = fmt::format("version {} was promoted instead by {}", version, by.actor);
  }
  memory_.before = memory_.promoted;
  memory_.promoted = version;
  publish();
  return recorded(record("promote", from, version, by), lock);
}

Result<void> ModelTraffic::roll_back(const Wish& by) {
  std::unique_lock lock(mutex_);
  if (auto before = known(); !before) return before;
  drain();
  bool of_canary = config_.canary && memory_.stage != Stage::rolled_back &&
                   (memory_.stage == Stage::promoted || memory_.promoted == 0 || watching_.load());
  if (of_canary) {
    decide(Stage::rolled_back, fmt::format("rolled back by {}{}{}", by.actor, by.why.empty() ? "" : ": ", by.why), by);
    return recorded(unsaved_ ? fail(Errc::backpressure, "too much waits for the disk") : Result<void>(), lock);
  }
  if (memory_.promoted == 0) {
    return fail(Errc::failed_precondition,
                fmt::format("model '{}' has no canary under way, and nothing was promoted: there is nothing to go back "
                            "from",
                            name_));
  }
  std::int64_t from = std::exchange(memory_.promoted, std::exchange(memory_.before, 0));
  publish();
  return recorded(record("rollback", from, memory_.promoted, by), lock);
}

Result<void> ModelTraffic::set_labels(std::optional<std::map<std::string, std::int64_t>> labels, const Wish& by) {
  std::unique_lock lock(mutex_);
  if (auto before = known(); !before) return before;
  std::string now = labels ? fmt::format("{}", fmt::join(texts_of(*labels), ", ")) : "as configured";
  memory_.labels = std::move(labels);
  publish();
  return recorded(record("labels", 0, 0, with(by, now)), lock);
}

Result<void> ModelTraffic::set_split(std::optional<std::map<std::int64_t, double>> split, const Wish& by) {
  std::unique_lock lock(mutex_);
  if (auto before = known(); !before) return before;
  std::string now = split ? fmt::format("{}", fmt::join(texts_of(*split), ", ")) : "as configured";
  memory_.split = std::move(split);
  publish();
  return recorded(record("split", 0, 0, with(by, now)), lock);
}

// Under the mutex.
CanaryView ModelTraffic::canary_view() const {
  const CanaryConfig& canary = *config_.canary;
  std::vector<Count> counts = counts_now();
  CanaryView view{.version = canary.version,
                  .share = canary.share,
                  .stage = memory_.stage,
                  .decided = memory_.decided,
                  .watched = memory_.watched};
  view.words = memory_.stage == Stage::watching
                   ? explain(Verdict::watch, canary, counts, memory_.others, memory_.watched)
                   : memory_.words;
  if (unread_)
    view.words = fmt::format("gets no requests, for what was decided before cannot be read: {}", unread_->detail);
  for (std::size_t i = 0; i < canary.rules.size(); ++i) {
    const CanaryRule& rule = canary.rules[i];
    view.rules.push_back({.text = rule.text,
                          .count = counts[i],
                          .others = memory_.others[i],
                          .for_rollback = as_odds(evidence_above(rule.share, counts[i])),
                          .for_promotion = as_odds(evidence_below(rule.share, counts[i])),
                          .rollback_needs = static_cast<double>(canary.rules.size()) / canary.error_rate,
                          .promotion_needs = 1 / canary.error_rate});
  }
  return view;
}

TrafficView ModelTraffic::view() {
  std::lock_guard lock(mutex_);
  if (unread_) take_up();
  look();
  if (unsaved_) unsaved_ = !save();
  Labels all = all_labels();
  TrafficView view{.labels = {all.begin(), all.end()},
                   .split = split(),
                   .labels_by_command = memory_.labels.has_value(),
                   .split_by_command = memory_.split.has_value(),
                   .promoted = promoted()};
  if (config_.canary) view.canary = canary_view();
  if (config_.shadow) view.shadow = shadow_;
  return view;
}

}  // namespace

std::shared_ptr<Traffic> make_traffic(const ModelConfig& model, Journal* journal, const base::Clock& clock) {
  return std::make_shared<ModelTraffic>(model, journal, clock);
}

}  // namespace penstock::infer
