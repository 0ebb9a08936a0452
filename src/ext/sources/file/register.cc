#include "base/registry.h"
#include "ext/sources/file/file_source.h"

namespace penstock::ext {

void register_sources_file(base::Registry& registry) { registry.add("file", ingest::SourceFactory{make_file_source}); }

}  // namespace penstock::ext
