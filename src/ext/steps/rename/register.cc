#include "base/registry.h"
#include "ext/steps/rename/rename.h"
#include "ingest/contracts.h"

namespace penstock::ext {

void register_steps_rename(base::Registry& registry) {
  registry.add("rename", ingest::StepFactory{steps::make_rename});
}

}  // namespace penstock::ext
