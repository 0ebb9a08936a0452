#include "base/registry.h"
#include "ext/steps/lookup/lookup.h"
#include "ingest/contracts.h"

namespace penstock::ext {

void register_steps_lookup(base::Registry& registry) {
  registry.add("lookup", ingest::StepFactory{steps::make_lookup});
}

}  // namespace penstock::ext
