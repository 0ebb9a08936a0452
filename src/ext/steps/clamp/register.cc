#include "base/registry.h"
#include "ext/steps/clamp/clamp.h"
#include "ingest/contracts.h"

namespace penstock::ext {

void register_steps_clamp(base::Registry& registry) { registry.add("clamp", ingest::StepFactory{steps::make_clamp}); }

}  // namespace penstock::ext
