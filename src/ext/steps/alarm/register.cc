#include "base/registry.h"
#include "ext/steps/alarm/alarm.h"
#include "ingest/contracts.h"

namespace penstock::ext {

void register_steps_alarm(base::Registry& registry) { registry.add("alarm", ingest::StepFactory{steps::make_alarm}); }

}  // namespace penstock::ext
