#include "base/registry.h"
#include "ext/steps/filter/filter.h"
#include "ingest/contracts.h"

namespace penstock::ext {

void register_steps_filter(base::Registry& registry) {
  registry.add("filter", ingest::StepFactory{steps::make_filter});
}

}  // namespace penstock::ext
