#include "base/registry.h"
#include "base/version.h"
#include "ext/apis/oip/oip_api.h"

namespace penstock::ext {
namespace {

void build(flow::ApiBuilder& builder) {
  auto* repository = builder.services().find<infer::Repository>();
  auto* engine = builder.services().find<infer::Engine>();
  if (repository == nullptr || engine == nullptr) return;
  auto api = std::make_shared<OipApi>(*repository, *engine, std::string(base::kVersion));
  api->add_routes(builder, api);
}

}  // namespace

void register_apis_oip(base::Registry& registry) { registry.add("oip", flow::ApiFactory{build}); }

}  // namespace penstock::ext
