#include "ext/steps/select/select.h"

#include "ingest/field_access.h"

namespace penstock::ext::steps {
namespace {

using ingest::NamePattern;

class Select : public ingest::Step {
 public:
  Select(std::vector<NamePattern> keep, std::vector<NamePattern> drop)
      : keep_(std::move(keep)), drop_(std::move(drop)) {}

  void push(ingest::Sample sample, ingest::Output& out) override {
    const std::size_t before = sample.fields.size();
    std::erase_if(sample.fields, [this](const ingest::Field& field) { return !stays(field.name); });
    // A sample that had fields and has none left says nothing any more, unless an alarm changed with it.
    if (sample.fields.empty() && before > 0 && !sample.alarm) return;
    out.emit(std::move(sample));
  }

  ingest::StepPlan plan(const ingest::Shape& in) const override {
    ingest::StepPlan plan{.out = in, .problems = {}};
    std::erase_if(plan.out.fields, [this](const auto& field) { return !stays(field.first); });
    for (const auto* patterns : {&keep_, &drop_}) {
      for (const NamePattern& pattern : *patterns) {
        if (auto problem = missing_field(in, pattern); !problem.empty()) plan.problems.push_back(std::move(problem));
      }
    }
    // Names without a star leave nothing open.
    const bool named =
        !keep_.empty() && std::none_of(keep_.begin(), keep_.end(), [](const auto& p) { return p.has_star(); });
    if (named) {
      for (const NamePattern& pattern : keep_) {
        if (stays(pattern.text())) plan.out.fields.try_emplace(pattern.text());
      }
      plan.out.open = false;
    }
    return plan;
  }

 private:
  bool stays(std::string_view name) const {
    return (keep_.empty() || find_match(keep_, name) != nullptr) && find_match(drop_, name) == nullptr;
  }

  std::vector<NamePattern> keep_;  // empty: all
  std::vector<NamePattern> drop_;
};

}  // namespace

std::unique_ptr<ingest::Step> make_select(const config::Node& node, const ingest::StepContext&) {
  std::vector<NamePattern> keep, drop;
  if (node.kind() == config::Node::Kind::map) {
    config::Map map = node.map();
    keep = ingest::read_patterns(map.get("keep"));
    drop = ingest::read_patterns(map.get("drop"));
    map.done();
  } else {
    keep = ingest::read_patterns(node);
  }
  if (keep.empty() && drop.empty()) {
    node.problem("names no field; write [temp, \"motor.*\"] or { drop: [raw] }");
    return nullptr;
  }
  return std::make_unique<Select>(std::move(keep), std::move(drop));
}

}  // namespace penstock::ext::steps
