#include "base/registry.h"
#include "ext/steps/infer/infer.h"
#include "ingest/contracts.h"

namespace penstock::ext {

void register_steps_infer(base::Registry& registry) { registry.add("infer", ingest::StepFactory{steps::make_infer}); }

}  // namespace penstock::ext
