// POST /ingest/{source}: devices push readings; GET /ingest/{source}/ws: the same in messages of a WebSocket. GET
// /pipelines/{name}/events: what comes out, as server-sent events; GET /pipelines/{name}/tap?step=3: what comes out of
// step 3 (0: what comes in).
#pragma once

#include "device/registry.h"
#include "flow/dialect.h"
#include "flow/websocket.h"
#include "ingest/lane.h"

namespace penstock::ext {

class IngestApi {
 public:
  // `devices` null: nobody has a device's credential.
  explicit IngestApi(ingest::Lane& lane, device::Registry* devices = nullptr) : lane_(lane), devices_(devices) {}
  rt::Task<void> accept(flow::Call& call, std::string source) const;
  rt::Task<void> socket(flow::Call& call, std::string source) const;
  rt::Task<void> events(flow::Call& call, std::string pipeline) const;
  rt::Task<void> tap(flow::Call& call, std::string pipeline) const;

 private:
  rt::Task<Result<std::size_t>> take(flow::Call& call, std::string source, std::string type, std::string bytes) const;
  rt::Task<void> take_messages(flow::Call& call, flow::WebSocketSession& session, std::string source) const;
  rt::Task<void> stream(flow::Call& call, std::string pipeline, std::shared_ptr<ingest::EventHub> hub,
                        Result<void> passed) const;
  Result<void> no_pipeline(const std::string& name) const;
  ingest::Lane& lane_;
  device::Registry* devices_;
};

}  // namespace penstock::ext
