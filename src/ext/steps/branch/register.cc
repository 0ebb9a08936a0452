#include "base/registry.h"
#include "ext/steps/branch/branch.h"
#include "ingest/contracts.h"

namespace penstock::ext {

void register_steps_branch(base::Registry& registry) {
  registry.add("branch", ingest::StepFactory{steps::make_branch});
}

}  // namespace penstock::ext
