#include "base/registry.h"
#include "ext/steps/resample/resample.h"
#include "ingest/contracts.h"

namespace penstock::ext {

void register_steps_resample(base::Registry& registry) {
  registry.add("resample", ingest::StepFactory{steps::make_resample});
}

}  // namespace penstock::ext
