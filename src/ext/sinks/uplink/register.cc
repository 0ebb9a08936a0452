#include "base/registry.h"
#include "ext/sinks/uplink/uplink_sink.h"

namespace penstock::ext {

void register_sinks_uplink(base::Registry& registry) { registry.add("uplink", ingest::SinkFactory{make_uplink_sink}); }

}  // namespace penstock::ext
