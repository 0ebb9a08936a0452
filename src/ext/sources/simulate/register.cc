#include "base/registry.h"
#include "ext/sources/simulate/simulate_source.h"

namespace penstock::ext {

void register_sources_simulate(base::Registry& registry) {
  registry.add("simulate", ingest::SourceFactory{make_simulate_source});
}

}  // namespace penstock::ext
