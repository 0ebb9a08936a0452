#include "base/registry.h"
#include "ext/steps/late/late.h"
#include "ingest/contracts.h"

namespace penstock::ext {

void register_steps_late(base::Registry& registry) { registry.add("late", ingest::StepFactory{steps::make_late}); }

}  // namespace penstock::ext
