#include "base/registry.h"
#include "ext/steps/envelope/envelope.h"
#include "ingest/contracts.h"

namespace penstock::ext {

void register_steps_envelope(base::Registry& registry) {
  registry.add("envelope", ingest::StepFactory{steps::make_envelope});
}

}  // namespace penstock::ext
