#include "base/registry.h"
#include "ext/sinks/penstock/penstock_sink.h"

namespace penstock::ext {

void register_sinks_penstock(base::Registry& registry) {
  registry.add("penstock", ingest::SinkFactory{make_penstock_sink});
}

}  // namespace penstock::ext
