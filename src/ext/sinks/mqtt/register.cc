#include "base/registry.h"
#include "ext/sinks/mqtt/mqtt_sink.h"

namespace penstock::ext {

void register_sinks_mqtt(base::Registry& registry) { registry.add("mqtt", ingest::SinkFactory{make_mqtt_sink}); }

}  // namespace penstock::ext
