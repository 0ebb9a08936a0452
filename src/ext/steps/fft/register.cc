#include "base/registry.h"
#include "ext/steps/fft/fft.h"
#include "ingest/contracts.h"

namespace penstock::ext {

void register_steps_fft(base::Registry& registry) { registry.add("fft", ingest::StepFactory{steps::make_fft}); }

}  // namespace penstock::ext
