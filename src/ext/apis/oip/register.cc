#include "base/registry.h"
#include "base/version.h"
#include "ext/apis/oip/generate_api.h"
#include "ext/apis/oip/oip_api.h"

namespace penstock::ext {
namespace {

void build(flow::ApiBuilder& builder) {
  const base::Services& services = builder.services();
  auto* repository = services.find<infer::Repository>();
  auto* engine = services.find<infer::Engine>();
  const auto* lane = services.find<llm::Lane>();
  builder.dialect("oip", std::make_unique<OipDialect>());
  if (repository != nullptr && engine != nullptr) {
    OipApi::About about{.version = std::string(base::kVersion), .generates = lane != nullptr};
    OipApi::add_routes(builder, std::make_shared<OipApi>(*repository, *engine, std::move(about)));
  }
  if (lane != nullptr) GenerateApi::add_routes(builder, std::make_shared<const GenerateApi>(*lane));
}

}  // namespace

void register_apis_oip(base::Registry& registry) { registry.add("oip", flow::ApiFactory{build}); }

}  // namespace penstock::ext
