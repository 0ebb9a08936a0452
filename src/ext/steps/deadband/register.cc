#include "base/registry.h"
#include "ext/steps/deadband/deadband.h"
#include "ingest/contracts.h"

namespace penstock::ext {

void register_steps_deadband(base::Registry& registry) {
  registry.add("deadband", ingest::StepFactory{steps::make_deadband});
}

}  // namespace penstock::ext
