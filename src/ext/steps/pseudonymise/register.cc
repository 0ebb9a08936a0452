#include "base/registry.h"
#include "ext/steps/pseudonymise/pseudonymise.h"
#include "ingest/contracts.h"

namespace penstock::ext {

void register_steps_pseudonymise(base::Registry& registry) {
  registry.add("pseudonymise", ingest::StepFactory{steps::make_pseudonymise});
}

}  // namespace penstock::ext
