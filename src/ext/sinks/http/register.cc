#include "base/registry.h"
#include "ext/sinks/http/http_sink.h"

namespace penstock::ext {

void register_sinks_http(base::Registry& registry) { registry.add("http", ingest::SinkFactory{make_http_sink}); }

}  // namespace penstock::ext
