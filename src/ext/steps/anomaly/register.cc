#include "ext/steps/anomaly/anomaly_step.h"

namespace penstock::ext {

void register_steps_anomaly(base::Registry& registry) {
  registry.add("anomaly", ingest::StepFactory{[](const config::Node& kind, const ingest::StepContext&) {
                 return anomaly::make_step(kind);
               }});
}

}  // namespace penstock::ext
