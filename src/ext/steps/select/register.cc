#include "base/registry.h"
#include "ext/steps/select/select.h"
#include "ingest/contracts.h"

namespace penstock::ext {

void register_steps_select(base::Registry& registry) {
  registry.add("select", ingest::StepFactory{steps::make_select});
}

}  // namespace penstock::ext
