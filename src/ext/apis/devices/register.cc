#include "base/registry.h"
#include "ext/apis/devices/device_api.h"

namespace penstock::ext {
namespace {

void build(flow::ApiBuilder& builder) {
  auto* clerk = builder.services().find<device::Clerk>();
  if (clerk == nullptr) return;
  auto api = std::make_shared<DeviceApi>(*clerk);
  builder.route("POST", "/devices/onboard", "devices",
                [api](flow::Call& call, http::Params) { return api->onboard(call); });
  auto add = [&](const char* method, const char* path,
                 rt::Task<void> (DeviceApi::*handler)(flow::Call&, std::string) const) {
    builder.route(method, path, "devices", [api, handler](flow::Call& call, http::Params params) {
      return ((*api).*handler)(call, std::string(http::param(params, "device")));
    });
  };
  add("GET", "/devices/{device}/twin", &DeviceApi::twin);
  add("GET", "/devices/{device}/twin/desired", &DeviceApi::desired);
  add("PUT", "/devices/{device}/twin/reported", &DeviceApi::report);
  add("GET", "/devices/{device}/commands", &DeviceApi::commands);
  builder.route("POST", "/devices/{device}/commands/{command}", "devices",
                [api](flow::Call& call, http::Params params) {
                  return api->acknowledge(call, std::string(http::param(params, "device")),
                                          std::string(http::param(params, "command")));
                });
}

}  // namespace

void register_apis_devices(base::Registry& registry) { registry.add("devices", flow::ApiFactory{build}); }

}  // namespace penstock::ext
