#include "base/registry.h"
#include "ext/sources/modbus/modbus_source.h"

namespace penstock::ext {

void register_sources_modbus(base::Registry& registry) {
  registry.add("modbus", ingest::SourceFactory{make_modbus_source});
}

}  // namespace penstock::ext
