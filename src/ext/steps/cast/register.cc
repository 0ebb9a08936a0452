#include "base/registry.h"
#include "ext/steps/cast/cast.h"
#include "ingest/contracts.h"

namespace penstock::ext {

void register_steps_cast(base::Registry& registry) { registry.add("cast", ingest::StepFactory{steps::make_cast}); }

}  // namespace penstock::ext
