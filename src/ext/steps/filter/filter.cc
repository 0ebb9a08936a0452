#include "ext/steps/filter/filter.h"

#include "ingest/contracts.h"
#include "ingest/expr.h"

namespace penstock::ext::steps {
namespace {

class Filter : public ingest::Step {
 public:
  explicit Filter(ingest::Expression keep) : keep_(std::move(keep)) {}
  void push(ingest::Sample sample, ingest::Output& out) override {
    if (keep_.test(sample)) out.emit(std::move(sample));
  }
  ingest::StepPlan plan(const ingest::Shape& in) const override {
    ingest::StepPlan plan{.out = in, .memory_bytes_max = 0, .problems = {}};
    keep_.gives(in, plan);
    return plan;
  }

 private:
  ingest::Expression keep_;
};

}  // namespace

std::unique_ptr<ingest::Step> make_filter(const config::Node& node, const ingest::StepContext&) {
  auto keep = ingest::Expression::compile(node, ingest::Expression::Wants::condition);
  if (!keep) return nullptr;
  return std::make_unique<Filter>(std::move(*keep));
}

}  // namespace penstock::ext::steps
