#include "base/registry.h"
#include "ext/sinks/log/log_sink.h"

namespace penstock::ext {

void register_sinks_log(base::Registry& registry) { registry.add("log", ingest::SinkFactory{make_log_sink}); }

}  // namespace penstock::ext
