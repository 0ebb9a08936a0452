#include "base/registry.h"
#include "ext/steps/outlier/outlier.h"
#include "ingest/contracts.h"

namespace penstock::ext {

void register_steps_outlier(base::Registry& registry) {
  registry.add("outlier", ingest::StepFactory{steps::make_outlier});
}

}  // namespace penstock::ext
