#include "base/registry.h"
#include "ext/sources/host/host_source.h"

namespace penstock::ext {

void register_sources_host(base::Registry& registry) {
  registry.add("host", ingest::SourceFactory{
                           [](const std::string&, const config::Node& kind, config::Map& map,
                              const ingest::Context& context) { return make_host_source(kind, map, context, ""); }});
}

}  // namespace penstock::ext
