#include "base/registry.h"
#include "ext/steps/lag/lag.h"
#include "ingest/contracts.h"

namespace penstock::ext {

void register_steps_lag(base::Registry& registry) { registry.add("lag", ingest::StepFactory{steps::make_lag}); }

}  // namespace penstock::ext
