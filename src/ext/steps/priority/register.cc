#include "base/registry.h"
#include "ext/steps/priority/priority.h"
#include "ingest/contracts.h"

namespace penstock::ext {

void register_steps_priority(base::Registry& registry) {
  registry.add("priority", ingest::StepFactory{steps::make_priority});
}

}  // namespace penstock::ext
