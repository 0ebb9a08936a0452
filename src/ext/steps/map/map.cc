#include "ext/steps/map/map.h"

#include "ingest/expr.h"

namespace penstock::ext::steps {
namespace {

using ingest::Expression;
using ingest::Sample;
using ingest::Term;

struct Assignment {
  enum class To { field, tag, device };
  To to = To::field;
  std::string name;
  Expression value;
};

class Map : public ingest::Step {
 public:
  Map(std::vector<Assignment> assignments, bool only) : assignments_(std::move(assignments)), only_(only) {}

  void push(Sample sample, ingest::Output& out) override {
    for (const Assignment& assignment : assignments_) assign(assignment, sample);
    if (only_) {
      std::erase_if(sample.fields, [this](const ingest::Field& field) { return !makes(field.name); });
    }
    out.emit(std::move(sample));
  }

  // Null removes a field, but nobody knows before: it may be there.
  ingest::StepPlan plan(const ingest::Shape& in) const override {
    ingest::StepPlan plan{.out = in, .memory_bytes_max = 0, .problems = {}};
    for (const Assignment& assignment : assignments_) {
      ingest::FieldType type = assignment.value.gives(plan.out, plan);
      if (assignment.to == Assignment::To::field) plan.out.fields.insert_or_assign(assignment.name, std::move(type));
    }
    if (!only_) return plan;
    std::erase_if(plan.out.fields, [this](const auto& field) { return !makes(field.first); });
    plan.out.open = false;
    return plan;
  }

 private:
  bool makes(const std::string& name) const {
    return std::any_of(assignments_.begin(), assignments_.end(), [&](const Assignment& assignment) {
      return assignment.to == Assignment::To::field && assignment.name == name;
    });
  }

  // In the order of the file: a later line sees what an earlier one made. Null removes.
  static void assign(const Assignment& assignment, Sample& sample) {
    Term term = assignment.value.evaluate(sample);
    const std::string& name = assignment.name;
    if (assignment.to == Assignment::To::device) {
      if (!term.is_null()) sample.device = ingest::to_text(term);
    } else if (assignment.to == Assignment::To::tag) {
      std::string text = ingest::to_text(term);
      bool keep = !term.is_null();
      std::erase_if(sample.tags, [&](const auto& tag) { return tag.first == name; });
      if (keep) sample.tags.emplace_back(name, std::move(text));
    } else if (auto value = ingest::to_value(term)) {
      std::string unit(term.unit_name);
      sample.set(name, std::move(*value), unit);
    } else {
      std::erase_if(sample.fields, [&](const ingest::Field& field) { return field.name == name; });
    }
  }

  std::vector<Assignment> assignments_;
  bool only_;
};

}  // namespace

std::unique_ptr<ingest::Step> make_map(const config::Node& node, const ingest::StepContext&) {
  config::Map map = node.map();
  std::vector<Assignment> assignments;
  bool only = map.boolean("only", false);
  bool good = true;
  for (const auto& [name, entry] : map.entries()) {
    if (name == "only") continue;
    auto value = Expression::compile(entry);
    good = good && value.has_value();
    if (!value) continue;
    if (name == "device") {
      assignments.push_back({Assignment::To::device, name, std::move(*value)});
    } else if (name.starts_with("tags.")) {
      assignments.push_back({Assignment::To::tag, name.substr(5), std::move(*value)});
    } else {
      assignments.push_back({Assignment::To::field, name, std::move(*value)});
    }
  }
  if (good && assignments.empty()) {
    node.problem("makes nothing; write { name: \"expression\" }, for example { power: \"volts * amps\" }");
    good = false;
  }
  if (!good) return nullptr;
  return std::make_unique<Map>(std::move(assignments), only);
}

}  // namespace penstock::ext::steps
