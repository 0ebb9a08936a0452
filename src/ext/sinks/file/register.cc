#include "base/registry.h"
#include "ext/sinks/file/file_sink.h"

namespace penstock::ext {

void register_sinks_file(base::Registry& registry) { registry.add("file", ingest::SinkFactory{make_file_sink}); }

}  // namespace penstock::ext
