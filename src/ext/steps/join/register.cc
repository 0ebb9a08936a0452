#include "base/registry.h"
#include "ext/steps/join/join.h"
#include "ingest/contracts.h"

namespace penstock::ext {

void register_steps_join(base::Registry& registry) { registry.add("join", ingest::StepFactory{steps::make_join}); }

}  // namespace penstock::ext
