#include "base/registry.h"
#include "ext/sinks/postgres/postgres_sink.h"

namespace penstock::ext {

void register_sinks_postgres(base::Registry& registry) {
  registry.add("postgres", ingest::SinkFactory{make_postgres_sink});
}

}  // namespace penstock::ext
