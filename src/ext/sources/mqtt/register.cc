#include "base/registry.h"
#include "ext/sources/mqtt/mqtt_source.h"

namespace penstock::ext {

void register_sources_mqtt(base::Registry& registry) { registry.add("mqtt", ingest::SourceFactory{make_mqtt_source}); }

}  // namespace penstock::ext
