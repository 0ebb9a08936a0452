#include "base/registry.h"
#include "ext/sources/http/http_source.h"

namespace penstock::ext {

void register_sources_http(base::Registry& registry) { registry.add("http", ingest::SourceFactory{make_http_source}); }

}  // namespace penstock::ext
