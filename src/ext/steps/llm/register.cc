#include "base/registry.h"
#include "ext/steps/llm/llm.h"
#include "ingest/contracts.h"

namespace penstock::ext {

void register_steps_llm(base::Registry& registry) { registry.add("llm", ingest::StepFactory{steps::make_llm}); }

}  // namespace penstock::ext
