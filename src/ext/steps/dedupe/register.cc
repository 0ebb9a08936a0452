#include "base/registry.h"
#include "ext/steps/dedupe/dedupe.h"
#include "ingest/contracts.h"

namespace penstock::ext {

void register_steps_dedupe(base::Registry& registry) {
  registry.add("dedupe", ingest::StepFactory{steps::make_dedupe});
}

}  // namespace penstock::ext
