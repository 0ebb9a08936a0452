#include "ext/steps/branch/branch.h"

#include "ingest/expr.h"
#include "ingest/origin.h"
#include "ingest/shape.h"
#include "ingest/succession.h"

namespace penstock::ext::steps {
namespace {

using ingest::Chain;
using ingest::Expression;
using ingest::Output;
using ingest::Sample;
using ingest::Shape;

constexpr std::size_t kWaysMax = 32;

// Where the ways join. Later answers from inside one of them come here too.
class Join : public Output {
 public:
  void emit(Sample sample) override {
    if (to != nullptr) to->emit(std::move(sample));
  }
  Output* to = nullptr;
};

struct Way {
  std::optional<Expression> when;              // none: else
  std::optional<ingest::OriginSuffix> copies;  // of the copies it gets; none: it gets the sample itself
  std::unique_ptr<Chain> steps;
};

class Branch : public ingest::Step {
 public:
  Join& join() { return join_; }
  void add(Way way) { ways_.push_back(std::move(way)); }

  void push(Sample sample, Output& out) override {
    join_.to = &out;
    for (Way& way : ways_) {
      if (way.when && !way.when->test(sample)) continue;
      if (!way.copies) return way.steps->push(std::move(sample));
      Sample copy = sample;
      way.copies->add_to(copy);
      way.steps->push(std::move(copy));
    }
    out.emit(std::move(sample));
  }

  void tick(base::WallMicros now, Output& out) override {
    join_.to = &out;
    for (const Way& way : ways_) way.steps->tick(now);
  }

  void flush(Output& out) override {
    join_.to = &out;
    for (const Way& way : ways_) way.steps->flush();
  }

  bool busy() const override {
    return std::any_of(ways_.begin(), ways_.end(), [](const Way& way) { return way.steps->busy(); });
  }

  // Ways of one condition take over; those whose condition changed do when they stand in the same place.
  void adopt(Step& other) override {
    auto& before = static_cast<Branch&>(other);
    if (join_.to == nullptr) join_.to = before.join_.to;
    std::vector<bool> taken(ways_.size());
    std::vector<Way*> left;
    const auto found = ingest::successors(before.conditions(), conditions());
    for (std::size_t i = 0; i < found.size(); ++i) {
      if (found[i]) {
        taken[*found[i]] = true;
        ways_[*found[i]].steps->adopt(*before.ways_[i].steps);
      } else if (i < ways_.size()) {
        left.push_back(&before.ways_[i]);
      }
    }
    for (Way* way : left) {
      const auto at = static_cast<std::size_t>(way - before.ways_.data());
      if (!taken[at]) ways_[at].steps->adopt(*way->steps);
    }
  }

  ingest::StepPlan plan(const Shape& in) const override {
    ingest::StepPlan plan;
    std::optional<Shape> one;     // what comes the ways of which a sample takes one
    std::optional<Shape> copies;  // and what comes besides
    bool all_taken = false;
    for (const Way& way : ways_) {
      if (way.when) way.when->gives(in, plan);
      ingest::StepPlan inside = way.steps->plan(in);
      plan.memory_bytes_max += inside.memory_bytes_max;
      all_taken = all_taken || !way.when;
      if (way.copies) {
        copies = copies ? merged(*copies, inside.out) : std::move(inside.out);
      } else {
        one = one ? alternative(*one, inside.out) : std::move(inside.out);
      }
    }
    if (!all_taken) one = one ? alternative(*one, in) : in;
    plan.out = copies ? merged(*one, *copies) : std::move(*one);
    return plan;
  }

 private:
  std::vector<std::string> conditions() const {
    std::vector<std::string> result;
    for (const Way& way : ways_) result.push_back(way.when ? way.when->text() : std::string());
    return result;
  }

  Join join_;
  std::vector<Way> ways_;
};

// Nothing after a reported mistake.
std::optional<Way> read_way(const config::Node& item, std::string place, bool last, Join& join,
                            const ingest::StepContext& context) {
  config::Map map = item.map();
  Way way;
  bool good = true;
  if (map.has("when") == map.has("else")) {
    item.problem("needs a condition: write when: \"temp > 80degC\" or, in the last one, else: true");
    good = false;
  }
  if (map.has("when")) {
    way.when = Expression::compile(map.get("when"), Expression::Wants::condition);
    good = good && way.when.has_value();
  } else if (!map.boolean("else", true)) {
    map.get("else").problem("can only be true; leave it out otherwise");
    good = false;
  } else if (map.has("else") && !last) {
    map.get("else").problem("must be the last: what stands behind it would get nothing");
    good = false;
  }
  if (map.boolean("copy", false)) way.copies.emplace("/" + place);
  if (way.copies && map.has("else")) {
    map.get("copy").problem("goes with when; what takes the way of else takes no other");
    good = false;
  }
  const config::Node steps = map.required("steps");
  if (steps.present()) way.steps = context.chain(steps, std::move(place), join);
  map.done();
  if (!good || !way.steps) return std::nullopt;
  return way;
}

}  // namespace

std::unique_ptr<ingest::Step> make_branch(const config::Node& node, const ingest::StepContext& context) {
  const std::vector<config::Node> items = node.items();
  if (items.empty() || items.size() > kWaysMax) {
    if (node.kind() == config::Node::Kind::list) {
      node.problem(fmt::format("needs 1 to {} ways; write - {{ when: \"temp > 80degC\", steps: [ ... ] }}", kWaysMax));
    }
    return nullptr;
  }
  auto branch = std::make_unique<Branch>();
  bool good = true;
  for (std::size_t i = 0; i < items.size(); ++i) {
    auto way =
        read_way(items[i], fmt::format("{}.{}", context.place, i + 1), i + 1 == items.size(), branch->join(), context);
    good = good && way.has_value();
    if (way) branch->add(std::move(*way));
  }
  if (!good) return nullptr;
  return branch;
}

}  // namespace penstock::ext::steps
