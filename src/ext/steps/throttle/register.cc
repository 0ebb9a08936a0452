#include "base/registry.h"
#include "ext/steps/throttle/throttle.h"
#include "ingest/contracts.h"

namespace penstock::ext {

void register_steps_throttle(base::Registry& registry) {
  registry.add("throttle", ingest::StepFactory{steps::make_throttle});
}

}  // namespace penstock::ext
