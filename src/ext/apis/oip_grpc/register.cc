#include "base/registry.h"
#include "base/version.h"
#include "ext/apis/oip_grpc/oip_grpc_api.h"

namespace penstock::ext {
namespace {

void build(flow::ApiBuilder& builder) {
  auto* repository = builder.services().find<infer::Repository>();
  auto* engine = builder.services().find<infer::Engine>();
  if (repository == nullptr || engine == nullptr) return;
  auto api = std::make_shared<OipGrpcApi>(*repository, *engine, std::string(base::kVersion));
  api->add_routes(builder, api);
}

}  // namespace

void register_apis_oip_grpc(base::Registry& registry) { registry.add("oip_grpc", flow::ApiFactory{build}); }

}  // namespace penstock::ext
