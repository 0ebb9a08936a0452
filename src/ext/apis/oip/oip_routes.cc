#include "ext/apis/oip/oip_api.h"

namespace penstock::ext {
namespace {

struct Route {
  const char* method;
  const char* path;
  rt::Task<void> (OipApi::*handler)(flow::Call&, http::Params);
};

// Below /v2/models/{m} and below each of its versions.
constexpr Route kOfModels[] = {{"POST", "/infer", &OipApi::infer},
                               {"GET", "", &OipApi::metadata},
                               {"GET", "/ready", &OipApi::ready},
                               {"GET", "/config", &OipApi::config},
                               {"GET", "/stats", &OipApi::stats}};

constexpr Route kOfRepository[] = {{"POST", "/v2/repository/models/{m}/load", &OipApi::load},
                                   {"POST", "/v2/repository/models/{m}/unload", &OipApi::unload}};

// What Triton's clients may ask for and is not here.
struct Absent {
  const char* method;
  const char* path;
  const char* what;
};
constexpr Absent kAbsent[] = {
    {"GET", "/v2/systemsharedmemory/status", "the extension 'system_shared_memory'"},
    {"POST", "/v2/systemsharedmemory/unregister", "the extension 'system_shared_memory'"},
    {"POST", "/v2/systemsharedmemory/region/{r}/register", "the extension 'system_shared_memory'"},
    {"GET", "/v2/cudasharedmemory/status", "the extension 'cuda_shared_memory'"},
    {"POST", "/v2/cudasharedmemory/unregister", "the extension 'cuda_shared_memory'"},
    {"POST", "/v2/cudasharedmemory/region/{r}/register", "the extension 'cuda_shared_memory'"},
    {"GET", "/v2/trace/setting", "the extension 'trace'"},
    {"POST", "/v2/trace/setting", "the extension 'trace'"},
    {"GET", "/v2/logging", "the extension 'logging'"},
    {"POST", "/v2/logging", "the extension 'logging'"},
    {"POST", "/v2/repository/{r}/index", "a repository with a name"}};

}  // namespace

void OipApi::add_routes(flow::ApiBuilder& builder, const std::shared_ptr<OipApi>& self) {
  using flow::Call;
  using http::Params;
  auto add = [&](const std::string& prefix, const Route& route) {
    builder.route(route.method, prefix + route.path, "oip", [self, handler = route.handler](Call& call, Params params) {
      return ((*self).*handler)(call, std::move(params));
    });
  };
  builder.route("GET", "/v2", "oip", [self](Call& call, Params) { return self->server(call); });
  builder.route("GET", "/v2/health/live", "oip", [self](Call& call, Params) { return self->health(call, false); });
  builder.route("GET", "/v2/health/ready", "oip", [self](Call& call, Params) { return self->health(call, true); });
  builder.route("GET", "/v2/models/stats", "oip", [self](Call& call, Params) { return self->stats(call, {}); });
  builder.route("POST", "/v2/repository/index", "oip", [self](Call& call, Params) { return self->index(call); });
  for (const char* prefix : {"/v2/models/{m}", "/v2/models/{m}/versions/{v}"}) {
    for (const Route& route : kOfModels) add(prefix, route);
  }
  for (const Route& route : kOfRepository) add("", route);
  for (const Absent& absent : kAbsent) {
    builder.route(absent.method, absent.path, "oip",
                  [what = std::string_view(absent.what)](Call& call, Params) { return refuse_extension(call, what); });
  }
}

}  // namespace penstock::ext
