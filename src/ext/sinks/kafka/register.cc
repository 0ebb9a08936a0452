#include "base/registry.h"
#include "ext/sinks/kafka/kafka_sink.h"

namespace penstock::ext {

void register_sinks_kafka(base::Registry& registry) { registry.add("kafka", ingest::SinkFactory{make_kafka_sink}); }

}  // namespace penstock::ext
