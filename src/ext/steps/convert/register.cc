#include "base/registry.h"
#include "ext/steps/convert/convert.h"
#include "ingest/contracts.h"

namespace penstock::ext {

void register_steps_convert(base::Registry& registry) {
  registry.add("convert", ingest::StepFactory{steps::make_convert});
}

}  // namespace penstock::ext
