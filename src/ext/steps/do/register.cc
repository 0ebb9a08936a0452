#include "base/registry.h"
#include "ext/steps/do/do_step.h"
#include "ingest/contracts.h"

namespace penstock::ext {

void register_steps_do(base::Registry& registry) { registry.add("do", ingest::StepFactory{steps::make_do}); }

}  // namespace penstock::ext
