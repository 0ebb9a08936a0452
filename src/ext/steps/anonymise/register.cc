#include "base/registry.h"
#include "ext/steps/anonymise/anonymise.h"
#include "ingest/contracts.h"

namespace penstock::ext {

void register_steps_anonymise(base::Registry& registry) {
  registry.add("anonymise", ingest::StepFactory{steps::make_anonymise});
}

}  // namespace penstock::ext
