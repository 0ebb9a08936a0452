// POST /ingest/{source}: devices push readings. GET /pipelines/{name}/events: what comes out, as server-sent events.
#pragma once

#include "flow/dialect.h"
#include "ingest/lane.h"

namespace penstock::ext {

class IngestApi {
 public:
  explicit IngestApi(ingest::Lane& lane) : lane_(lane) {}
  rt::Task<void> accept(flow::Call& call, std::string source) const;
  rt::Task<void> events(flow::Call& call, std::string pipeline) const;

 private:
  ingest::Lane& lane_;
};

}  // namespace penstock::ext
