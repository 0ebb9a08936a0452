#include "ext/steps/priority/priority.h"

#include "ingest/expr.h"

namespace penstock::ext::steps {
namespace {

using ingest::Expression;
using ingest::Priority;

// Highest first.
constexpr std::pair<std::string_view, Priority> kNames[] = {
    {"alarm", Priority::alarm}, {"normal", Priority::normal}, {"bulk", Priority::bulk}};

struct Rule {
  Priority gives = Priority::normal;
  std::optional<Expression> when;  // none: always
};

class PriorityStep : public ingest::Step {
 public:
  explicit PriorityStep(std::vector<Rule> rules) : rules_(std::move(rules)) {}

  void push(ingest::Sample sample, ingest::Output& out) override {
    const auto holds = [&](const Rule& rule) { return !rule.when || rule.when->test(sample); };
    const auto rule = std::find_if(rules_.begin(), rules_.end(), holds);
    // A sample that tells of an alarm waits for nothing, whatever it measures.
    if (rule != rules_.end() && !sample.alarm) sample.priority = rule->gives;
    out.emit(std::move(sample));
  }

  ingest::StepPlan plan(const ingest::Shape& in) const override {
    ingest::StepPlan plan{.out = in, .problems = {}};
    for (const Rule& rule : rules_) {
      if (rule.when) rule.when->gives(in, plan);
    }
    return plan;
  }

 private:
  const std::vector<Rule> rules_;  // the first that holds decides
};

}  // namespace

std::unique_ptr<ingest::Step> make_priority(const config::Node& node, const ingest::StepContext&) {
  std::vector<Rule> rules;
  if (node.kind() != config::Node::Kind::map) {
    const std::string name = node.choice({"bulk", "normal", "alarm"}, "normal");
    const auto* found =
        std::find_if(std::begin(kNames), std::end(kNames), [&](auto& one) { return one.first == name; });
    rules.push_back({found->second, std::nullopt});
    return std::make_unique<PriorityStep>(std::move(rules));
  }
  config::Map map = node.map();
  for (const auto& [name, gives] : kNames) {
    const config::Node entry = map.get(name);
    if (!entry.present()) continue;
    auto when = Expression::compile(entry, Expression::Wants::condition);
    if (when) rules.push_back({gives, std::move(when)});
  }
  map.done();
  if (map.keys().empty()) node.problem("gives none; write bulk, or { bulk: \"EXPR\", alarm: \"EXPR\" }");
  return std::make_unique<PriorityStep>(std::move(rules));
}

}  // namespace penstock::ext::steps
