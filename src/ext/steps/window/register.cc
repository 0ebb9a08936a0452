#include "base/registry.h"
#include "ext/steps/window/window.h"
#include "ingest/contracts.h"

namespace penstock::ext {

void register_steps_window(base::Registry& registry) {
  registry.add("window", ingest::StepFactory{steps::make_window});
}

}  // namespace penstock::ext
