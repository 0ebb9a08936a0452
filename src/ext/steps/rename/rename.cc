#include "ext/steps/rename/rename.h"

#include "ingest/field_access.h"

namespace penstock::ext::steps {
namespace {

using ingest::NamePattern;

struct Renaming {
  NamePattern from;
  NamePattern to;
};

class Rename : public ingest::Step {
 public:
  explicit Rename(std::vector<Renaming> renamings) : renamings_(std::move(renamings)) {}

  void push(ingest::Sample sample, ingest::Output& out) override {
    std::vector<ingest::Field> fields = std::exchange(sample.fields, {});
    sample.fields.reserve(fields.size());
    for (ingest::Field& field : fields) {
      sample.set(new_name(field.name), std::move(field.value), field.unit);
    }
    out.emit(std::move(sample));
  }

  ingest::StepPlan plan(const ingest::Shape& in) const override {
    ingest::StepPlan plan{.out = in, .problems = {}};
    plan.out.fields.clear();
    for (const auto& [name, type] : in.fields) plan.out.fields[new_name(name)] = type;
    for (const Renaming& renaming : renamings_) {
      if (auto problem = missing_field(in, renaming.from); !problem.empty())
        plan.problems.push_back(std::move(problem));
    }
    return plan;
  }

 private:
  std::string new_name(const std::string& name) const {
    for (const Renaming& renaming : renamings_) {
      if (auto star = renaming.from.match(name)) return renaming.to.filled(*star);
    }
    return name;
  }

  std::vector<Renaming> renamings_;
};

}  // namespace

std::unique_ptr<ingest::Step> make_rename(const config::Node& node, const ingest::StepContext&) {
  config::Map map = node.map();
  std::vector<Renaming> renamings;
  for (const auto& [name, entry] : map.entries()) {
    auto from = NamePattern::read(name, entry);
    auto to = NamePattern::read(entry.text(), entry);
    if (!from || !to) continue;
    if (to->has_star() && !from->has_star()) {
      entry.problem(fmt::format("'{}' has a star, but '{}' has none to fill it with", to->text(), name));
      continue;
    }
    renamings.push_back({std::move(*from), std::move(*to)});
  }
  if (map.keys().empty()) node.problem("renames nothing; write { old: new, \"motor.*\": \"*\" }");
  if (renamings.empty()) return nullptr;
  return std::make_unique<Rename>(std::move(renamings));
}

}  // namespace penstock::ext::steps
