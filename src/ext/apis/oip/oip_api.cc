#include "ext/apis/oip/oip_api.h"

#include <charconv>

#include "flow/permission.h"
#include "json/value.h"
#include "rt/await.h"

namespace penstock::ext {
namespace {

namespace oip = infer::oip;

// A request with tensors in JSON is several times the size of its tensors.
constexpr std::uint64_t kBodyBytesMax = 256U << 20;
// Without a timeout of its own a request waits this long for its turn.
constexpr auto kQueueTimeout = std::chrono::seconds(30);

std::string text(const http::Params& params, std::string_view name) { return std::string(http::param(params, name)); }

Result<std::optional<std::size_t>> header_length(const http::Request& request) {
  std::string_view value = request.field(wire::FieldId::inference_header_content_length);
  if (value.empty()) return std::optional<std::size_t>{};
  std::size_t length = 0;
  auto [end, ec] = std::from_chars(value.data(), value.data() + value.size(), length);
  if (ec != std::errc{} || end != value.data() + value.size()) {
    return fail(Errc::invalid_argument, "Inference-Header-Content-Length must be the number of bytes of the JSON part");
  }
  return std::optional<std::size_t>(length);
}

}  // namespace

int OipDialect::status(const Error& error) const { return oip::http_status(error.code); }
std::string OipDialect::error_body(int, const Error& error, std::string_view) const { return oip::encode_error(error); }

rt::Task<void> OipApi::server(flow::Call& call) const {
  co_await flow::respond_json(call, 200, oip::encode_server(version_));
}

rt::Task<void> OipApi::health(flow::Call& call, bool readiness) const {
  bool ok = !readiness || repository_.ready();
  co_await flow::respond_json(call, ok ? 200 : 503, oip::encode_health(ok));
}

rt::Task<std::shared_ptr<infer::Served>> OipApi::find(flow::Call& call, const http::Params& params) const {
  call.model = text(params, "m");
  call.needs.add(flow::Capability::infer);
  Result<void> passed = flow::identify(call);
  if (passed) passed = co_await flow::admit(call);
  Result<std::shared_ptr<infer::Served>> served = nullptr;
  if (passed) {
    served = repository_.find(call.model, text(params, "v"));
    if (!served) passed = std::unexpected(served.error());
  }
  if (!passed) {
    co_await flow::refuse(call, passed.error());
    co_return nullptr;
  }
  co_return *served;
}

rt::Task<void> OipApi::metadata(flow::Call& call, http::Params params) const {
  auto served = co_await find(call, params);
  if (!served) co_return;
  std::vector<std::string> versions = repository_.ready_versions(call.model);
  co_await flow::respond_json(call, 200, oip::encode_model(call.model, versions, served->model->info()));
}

rt::Task<void> OipApi::ready(flow::Call& call, http::Params params) const {
  auto served = co_await find(call, params);
  if (served) co_await flow::respond_json(call, 200, oip::encode_model_ready(call.model, true));
}

rt::Task<void> OipApi::config(flow::Call& call, http::Params params) const {
  auto served = co_await find(call, params);
  if (served) co_await flow::respond_json(call, 200, oip::encode_config(call.model, served->model->info()));
}

rt::Task<void> OipApi::stats(flow::Call& call, http::Params params) const {
  std::vector<infer::ModelStatus> models = repository_.status();
  if (params.empty()) {
    if (auto known = flow::identify(call); !known) {
      co_await flow::refuse(call, known.error());
      co_return;
    }
    std::erase_if(models, [&](const auto& model) { return !flow::may_use(call, model.name); });
  } else {
    auto served = co_await find(call, params);
    if (!served) co_return;
  }
  co_await flow::respond_json(call, 200, oip::encode_stats(models, text(params, "m"), text(params, "v")));
}

rt::Task<void> OipApi::index(flow::Call& call) const {
  auto body = co_await flow::identify_and_read(call, 64 * 1024);
  if (!body) co_return;
  Result<json::Value> wish = json::Value(json::Object());
  if (!body->empty()) wish = json::parse(*body);
  if (!wish) {
    co_await flow::refuse(call, wish.error());
    co_return;
  }
  std::vector<infer::ModelStatus> models = repository_.status();
  std::erase_if(models, [&](const auto& model) { return !flow::may_use(call, model.name); });
  co_await flow::respond_json(call, 200, oip::encode_index(models, json::bool_or(*wish, "ready", false)));
}

rt::Task<void> OipApi::infer(flow::Call& call, http::Params params) const {
  call.model = text(params, "m");
  call.needs.add(flow::Capability::infer);
  auto body = co_await flow::identify_and_read(call, kBodyBytesMax);
  if (!body) co_return;
  auto admitted = co_await flow::admit(call);
  Result<std::optional<std::size_t>> length = std::optional<std::size_t>{};
  if (admitted) length = header_length(call.exchange.request());
  Result<oip::InferCall> parsed = fail(Errc::internal, "");
  if (admitted && length) parsed = oip::parse_infer(*body, *length);
  if (!admitted || !length || !parsed) {
    Error error = !admitted ? admitted.error() : !length ? length.error() : parsed.error();
    co_await flow::refuse(call, std::move(error));
    co_return;
  }
  oip::InferCall& wanted = *parsed;
  wanted.request.model = call.model;
  wanted.request.version = text(params, "v");
  base::SteadyTime deadline =
      std::chrono::steady_clock::now() + (wanted.timeout.count() > 0 ? wanted.timeout : base::Duration(kQueueTimeout));
  infer::Request request = std::move(wanted.request);
  std::function<void(infer::Engine::Done)> start = [&](infer::Engine::Done done) {
    engine_.infer(call.exchange.loop(), std::move(request), deadline, std::move(done));
  };
  rt::Callback<Result<infer::Response>> running(call.exchange.loop(), std::move(start));
  auto response = co_await running;
  if (!response) {
    co_await flow::refuse(call, response.error());
    co_return;
  }
  call.event.model = obs::intern(response->model);
  oip::Answer answer = oip::encode_infer(wanted, *response);
  call.event.status = 200;
  http::ResponseHead head(200);
  head.add("content-type", answer.header_length ? "application/octet-stream" : "application/json");
  if (answer.header_length)
    head.add("Inference-Header-Content-Length", static_cast<std::int64_t>(*answer.header_length));
  flow::add_common_fields(call, head);
  co_await call.exchange.respond(std::move(head), answer.body);
}

void OipApi::add_routes(flow::ApiBuilder& builder, const std::shared_ptr<OipApi>& self) {
  using flow::Call;
  using http::Params;
  builder.dialect("oip", std::make_unique<OipDialect>());
  builder.route("GET", "/v2", "oip", [self](Call& call, Params) { return self->server(call); });
  builder.route("GET", "/v2/health/live", "oip", [self](Call& call, Params) { return self->health(call, false); });
  builder.route("GET", "/v2/health/ready", "oip", [self](Call& call, Params) { return self->health(call, true); });
  builder.route("GET", "/v2/models/stats", "oip", [self](Call& call, Params) { return self->stats(call, {}); });
  builder.route("POST", "/v2/repository/index", "oip", [self](Call& call, Params) { return self->index(call); });
  for (const std::string model : {"/v2/models/{m}", "/v2/models/{m}/versions/{v}"}) {
    builder.route("GET", model, "oip", [self](Call& call, Params p) { return self->metadata(call, std::move(p)); });
    builder.route("GET", model + "/ready", "oip",
                  [self](Call& call, Params p) { return self->ready(call, std::move(p)); });
    builder.route("GET", model + "/config", "oip",
                  [self](Call& call, Params p) { return self->config(call, std::move(p)); });
    builder.route("GET", model + "/stats", "oip",
                  [self](Call& call, Params p) { return self->stats(call, std::move(p)); });
    builder.route("POST", model + "/infer", "oip",
                  [self](Call& call, Params p) { return self->infer(call, std::move(p)); });
  }
}

}  // namespace penstock::ext
