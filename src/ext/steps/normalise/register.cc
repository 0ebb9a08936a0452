#include "base/registry.h"
#include "ext/steps/normalise/normalise.h"
#include "ingest/contracts.h"

namespace penstock::ext {

void register_steps_normalise(base::Registry& registry) {
  registry.add("normalise", ingest::StepFactory{steps::make_normalise});
}

}  // namespace penstock::ext
