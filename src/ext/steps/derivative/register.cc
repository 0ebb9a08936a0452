#include "base/registry.h"
#include "ext/steps/derivative/derivative.h"
#include "ingest/contracts.h"

namespace penstock::ext {

void register_steps_derivative(base::Registry& registry) {
  registry.add("derivative", ingest::StepFactory{steps::make_derivative});
}

}  // namespace penstock::ext
