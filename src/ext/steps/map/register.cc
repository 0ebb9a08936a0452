#include "base/registry.h"
#include "ext/steps/map/map.h"
#include "ingest/contracts.h"

namespace penstock::ext {

void register_steps_map(base::Registry& registry) { registry.add("map", ingest::StepFactory{steps::make_map}); }

}  // namespace penstock::ext
