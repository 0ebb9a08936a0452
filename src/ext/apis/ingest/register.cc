#include "base/registry.h"
#include "ext/apis/ingest/ingest_api.h"

namespace penstock::ext {
namespace {

void build(flow::ApiBuilder& builder) {
  auto* lane = builder.services().find<ingest::Lane>();
  if (lane == nullptr) return;
  auto api = std::make_shared<IngestApi>(*lane, builder.services().find<device::Registry>());
  builder.route("POST", "/ingest/{source}", "ingest", [api](flow::Call& call, http::Params params) {
    return api->accept(call, std::string(http::param(params, "source")));
  });
  builder.route("GET", "/ingest/{source}/ws", "ingest", [api](flow::Call& call, http::Params params) {
    return api->socket(call, std::string(http::param(params, "source")));
  });
  builder.route("GET", "/pipelines/{name}/events", "ingest", [api](flow::Call& call, http::Params params) {
    return api->events(call, std::string(http::param(params, "name")));
  });
  builder.route("GET", "/pipelines/{name}/tap", "ingest", [api](flow::Call& call, http::Params params) {
    return api->tap(call, std::string(http::param(params, "name")));
  });
}

}  // namespace

void register_apis_ingest(base::Registry& registry) { registry.add("ingest", flow::ApiFactory{build}); }

}  // namespace penstock::ext
