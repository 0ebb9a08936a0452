#include "ext/apis/oip_grpc/oip_grpc_api.h"

#include "ext/apis/oip_grpc/infer_stream.h"
#include "ext/apis/oip_grpc/inference.h"
#include "flow/permission.h"
#include "json/value.h"
#include "rt/attempt.h"
#include "rt/await.h"
#include "rt/wait.h"

namespace penstock::ext {

namespace oip = infer::oip;
using Answer = Result<std::string>;

namespace {

constexpr std::string_view kService = "inference.GRPCInferenceService";
constexpr std::string_view kApi = "oip_grpc";

// Of a message that names something and has nothing else, from callers who may be anybody.
constexpr std::uint64_t kNameBytes = 16 * 1024;
constexpr std::uint64_t kAnyBytes = UINT64_MAX;  // the bound of all messages

}  // namespace

int OipGrpcDialect::status(const Error& error) const { return oip::http_status(error.code); }
std::string OipGrpcDialect::error_body(int, const Error& error, std::string_view) const {
  return oip::encode_error(error);
}

const std::array<OipGrpcApi::Method, 11> OipGrpcApi::kMethods{{
    {"/inference.GRPCInferenceService/ServerLive", &OipGrpcApi::server_live, false, kNameBytes},
    {"/inference.GRPCInferenceService/ServerReady", &OipGrpcApi::server_ready, false, kNameBytes},
    {"/inference.GRPCInferenceService/ServerMetadata", &OipGrpcApi::server_metadata, false, kNameBytes},
    {"/inference.GRPCInferenceService/ModelReady", &OipGrpcApi::model_ready, true, kNameBytes},
    {"/inference.GRPCInferenceService/ModelMetadata", &OipGrpcApi::model_metadata, true, kNameBytes},
    {"/inference.GRPCInferenceService/ModelConfig", &OipGrpcApi::model_config, true, kNameBytes},
    {"/inference.GRPCInferenceService/ModelStatistics", &OipGrpcApi::model_statistics, true, kNameBytes},
    {"/inference.GRPCInferenceService/RepositoryIndex", &OipGrpcApi::index, true, kNameBytes},
    {"/inference.GRPCInferenceService/RepositoryModelLoad", &OipGrpcApi::load, true, kAnyBytes},
    {"/inference.GRPCInferenceService/RepositoryModelUnload", &OipGrpcApi::unload, true, kNameBytes},
    {"/grpc.health.v1.Health/Check", &OipGrpcApi::health, false, kNameBytes},
}};

void OipGrpcApi::add_routes(flow::ApiBuilder& builder, const std::shared_ptr<OipGrpcApi>& self) {
  using flow::Call;
  using http::Params;
  const std::string api(kApi);
  builder.dialect(api, std::make_unique<OipGrpcDialect>());
  for (const Method& method : kMethods)
    builder.route("POST", method.path, api, [self, &method](Call& call, Params) { return self->unary(call, method); });
  builder.route("POST", "/inference.GRPCInferenceService/ModelInfer", api,
                [self](Call& call, Params) { return self->infer(call); });
  builder.route("POST", "/inference.GRPCInferenceService/ModelStreamInfer", api,
                [self](Call& call, Params) { return self->stream(call); });
  builder.route("POST", "/grpc.health.v1.Health/Watch", api, [self](Call& call, Params) { return self->watch(call); });
  for (const std::string service : {"inference.GRPCInferenceService", "grpc.health.v1.Health"}) {
    builder.route("POST", "/" + service + "/{method}", api, [self, service](Call& call, Params params) {
      return self->unknown(call, service, std::string(http::param(params, "method")));
    });
  }
}

// --- unary -----------------------------------------------------------------------------------------------------------

rt::Task<void> OipGrpcApi::unary(flow::Call& call, const Method& method) {
  GrpcCall grpc(call, codec_);
  if (!co_await grpc.open(method.keyed)) co_return;
  auto message = co_await grpc.grpc().read_one(method.bytes_max);
  if (!message) {
    co_await grpc.refuse(message.error());
    co_return;
  }
  call.event.bytes_in = message->size();
  auto answer = co_await (this->*method.work)(call, *message);
  co_await grpc.answer(std::move(answer));
}

rt::Task<void> OipGrpcApi::unknown(flow::Call& call, std::string service, std::string method) {
  GrpcCall grpc(call, codec_);
  if (!co_await grpc.open(false)) co_return;
  Error error{Errc::unimplemented, fmt::format("{} has no method '{}' here", service, method.substr(0, 100))};
  co_await grpc.refuse(std::move(error));
}

rt::Task<Answer> OipGrpcApi::server_live(flow::Call&, std::string_view) {
  return rt::Task<Answer>::ready(oip::encode_flag_message(true));
}

rt::Task<Answer> OipGrpcApi::server_ready(flow::Call&, std::string_view) {
  return rt::Task<Answer>::ready(oip::encode_flag_message(repository_.ready()));
}

rt::Task<Answer> OipGrpcApi::server_metadata(flow::Call&, std::string_view) {
  return rt::Task<Answer>::ready(oip::encode_server_message(version_));
}

rt::Task<Result<std::shared_ptr<infer::Served>>> OipGrpcApi::find(flow::Call& call, std::string_view message) {
  auto named = oip::parse_model_name(message);
  if (!named) co_return std::unexpected(named.error());
  call.model = named->name;
  call.needs.add(flow::Capability::infer);
  auto admitted = co_await flow::admit(call);
  if (!admitted) co_return std::unexpected(admitted.error());
  auto served = repository_.find(named->name, named->version);
  if (served || served.error().code != Errc::unavailable) co_return served;
  auto loaded = co_await load_on_demand(call, *named, served.error());
  if (!loaded) co_return std::unexpected(loaded.error());
  co_return repository_.find(named->name, named->version);
}

// Where the model is loaded when somebody wants it; `otherwise` where it is not.
rt::Task<Result<void>> OipGrpcApi::load_on_demand(flow::Call& call, oip::ModelName named, Error otherwise) {
  constexpr base::Duration kPatience = std::chrono::seconds(30);
  infer::Request wanted;
  wanted.model = std::move(named.name);
  wanted.version = std::move(named.version);
  std::function<void(std::function<void(Result<void>)>)> start = [&](std::function<void(Result<void>)> done) {
    base::SteadyTime latest = base::system_clock().steady() + kPatience;
    if (!repository_.when_loaded(call.exchange.loop(), wanted, latest, done)) done(std::unexpected(otherwise));
  };
  rt::Callback<Result<void>> loading(call.exchange.loop(), std::move(start));
  co_return co_await loading;
}

// A model that is not there is not ready, which is an answer and no error. One that is loaded when somebody wants it
// is.
rt::Task<Answer> OipGrpcApi::model_ready(flow::Call& call, std::string_view message) {
  auto named = oip::parse_model_name(message);
  if (!named) co_return std::unexpected(named.error());
  call.model = named->name;
  call.needs.add(flow::Capability::infer);
  auto admitted = co_await flow::admit(call);
  if (!admitted) co_return std::unexpected(admitted.error());
  bool ready = repository_.find(named->name, named->version).has_value();
  if (!ready && named->version.empty()) {
    for (const infer::ModelStatus& model : repository_.status())
      ready = ready || (model.name == named->name && model.ready);
  }
  co_return oip::encode_flag_message(ready);
}

rt::Task<Answer> OipGrpcApi::model_metadata(flow::Call& call, std::string_view message) {
  auto served = co_await find(call, message);
  if (!served) co_return std::unexpected(served.error());
  std::vector<std::string> versions = repository_.ready_versions(call.model);
  co_return oip::encode_model_message(call.model, versions, (*served)->model->info());
}

rt::Task<Answer> OipGrpcApi::model_config(flow::Call& call, std::string_view message) {
  auto served = co_await find(call, message);
  if (!served) co_return std::unexpected(served.error());
  co_return oip::encode_config_message(*(*served)->config, (*served)->model->info());
}

rt::Task<Answer> OipGrpcApi::model_statistics(flow::Call& call, std::string_view message) {
  auto named = oip::parse_model_name(message);
  if (!named) co_return std::unexpected(named.error());
  if (!named->name.empty()) {
    auto served = co_await find(call, message);
    if (!served) co_return std::unexpected(served.error());
    if (!named->version.empty()) named->version = (*served)->version;  // a label stands for a number
  }
  std::vector<infer::ModelStatus> models = repository_.status();
  std::erase_if(models, [&](const auto& model) { return !flow::may_use(call, model.name); });
  co_return oip::encode_statistics_message(models, named->name, named->version);
}

rt::Task<Answer> OipGrpcApi::index(flow::Call& call, std::string_view message) {
  auto ready_only = oip::parse_index_message(message);
  if (!ready_only) return rt::Task<Answer>::ready(std::unexpected(ready_only.error()));
  std::vector<infer::ModelStatus> models = repository_.status();
  std::erase_if(models, [&](const auto& model) { return !flow::may_use(call, model.name); });
  return rt::Task<Answer>::ready(oip::encode_index_message(models, *ready_only));
}

// --- changes ---------------------------------------------------------------------------------------------------------

rt::Pool& OipGrpcApi::loader() {
  std::call_once(loader_once_, [this] { loader_ = std::make_unique<rt::Pool>("model-load", 1, 16); });
  return *loader_;
}

rt::Task<Answer> OipGrpcApi::change(flow::Call& call, std::string model, std::function<Result<void>()> work) {
  call.model = std::move(model);
  call.needs.add(flow::Capability::admin);
  auto admitted = co_await flow::admit(call);
  if (!admitted) co_return std::unexpected(admitted.error());
  rt::Loop& loop = call.exchange.loop();
  std::function<void(std::function<void(Result<void>)>)> start = [&](std::function<void(Result<void>)> done) {
    auto safe = [work] { return rt::attempt(work); };
    if (auto taken = loader().run(loop, std::move(safe), done); !taken) done(std::unexpected(taken.error()));
  };
  rt::Callback<Result<void>> running(loop, std::move(start));
  auto changed = co_await running;
  if (!changed) co_return std::unexpected(changed.error());
  co_return std::string();
}

namespace {

infer::Wish wish_of(const flow::Call& call) {
  std::string actor = call.key == nullptr ? "a request" : fmt::format("key {}", call.key->name().view());
  return {.actor = std::move(actor), .why = "asked for over gRPC"};
}

}  // namespace

rt::Task<Answer> OipGrpcApi::load(flow::Call& call, std::string_view message) {
  auto wanted = oip::parse_load_message(message);
  if (!wanted) co_return std::unexpected(wanted.error());
  wanted->by = wish_of(call);
  std::string model = wanted->name;
  std::function<Result<void>()> work = [this, request = std::move(*wanted)] { return repository_.load(request); };
  auto changed = co_await change(call, std::move(model), std::move(work));
  co_return changed;
}

rt::Task<Answer> OipGrpcApi::unload(flow::Call& call, std::string_view message) {
  auto name = oip::parse_unload_message(message);
  if (!name) co_return std::unexpected(name.error());
  std::function<Result<void>()> work = [this, model = *name, by = wish_of(call)] {
    return repository_.unload(model, by);
  };
  auto changed = co_await change(call, std::move(*name), std::move(work));
  co_return changed;
}

// --- inference -------------------------------------------------------------------------------------------------------

rt::Task<void> OipGrpcApi::infer(flow::Call& call) {
  GrpcCall grpc(call, codec_);
  if (!co_await grpc.open(true)) co_return;
  auto message = co_await grpc.grpc().read_one();
  Result<Inference> inference = std::unexpected(message ? Error() : message.error());
  if (message) {
    call.event.bytes_in = message->size();
    inference = co_await admit_inference(call, repository_, *message, grpc.grpc().deadline());
  }
  if (!inference) {
    co_await grpc.refuse(inference.error());
    co_return;
  }
  rt::Loop& loop = call.exchange.loop();
  const base::SteadyTime deadline = inference->deadline;
  std::stop_source stop;
  rt::Timer timer(loop);
  timer.arm_at(deadline, [&stop] { stop.request_stop(); });
  call.exchange.on_client_gone([&stop] { stop.request_stop(); });
  if (call.exchange.client_gone()) stop.request_stop();
  infer::Request request = std::move(inference->wanted.request);
  request.stop = stop.get_token();
  std::function<void(infer::Engine::Done)> start = [&](infer::Engine::Done done) {
    engine_.infer(loop, std::move(request), deadline, std::move(done));
  };
  rt::Callback<Result<infer::Response>> running(loop, std::move(start));
  auto response = co_await running;
  call.exchange.on_client_gone({});
  timer.cancel();
  if (response) {
    auto classified = oip::classify_outputs(inference->wanted, *response, inference->rows_first);
    if (!classified) response = std::unexpected(classified.error());
  }
  if (!response) {
    co_await grpc.refuse(run_error(response.error(), deadline));
    co_return;
  }
  call.event.model = obs::intern(response->model);
  oip::Message answer = oip::encode_infer_message(inference->wanted, *response);
  co_await grpc.answer(answer);
}

rt::Task<void> OipGrpcApi::stream(flow::Call& call) {
  GrpcCall grpc(call, codec_);
  if (!co_await grpc.open(true)) co_return;
  InferStream stream(call, grpc, repository_, engine_);
  co_await stream.run();
}

// --- health ----------------------------------------------------------------------------------------------------------

oip::Health OipGrpcApi::health_of(std::string_view service) const {
  if (!service.empty() && service != kService) return oip::Health::service_unknown;
  return repository_.ready() ? oip::Health::serving : oip::Health::not_serving;
}

rt::Task<Answer> OipGrpcApi::health(flow::Call&, std::string_view message) {
  auto service = oip::parse_health_message(message);
  if (!service) return rt::Task<Answer>::ready(std::unexpected(service.error()));
  oip::Health now = health_of(*service);
  if (now == oip::Health::service_unknown)
    return rt::Task<Answer>::ready(
        fail(Errc::not_found, fmt::format("unknown service '{}'; known is {}", *service, kService)));
  return rt::Task<Answer>::ready(oip::encode_health_message(now));
}

// Says how it is, and again whenever that has changed, until the client leaves or the gateway does. A service nobody
// knows might come one day, as the protocol has it.
rt::Task<void> OipGrpcApi::watch(flow::Call& call) {
  constexpr base::Duration kLookEvery = std::chrono::seconds(1);
  GrpcCall grpc(call, codec_);
  if (!co_await grpc.open(false)) co_return;
  auto message = co_await grpc.grpc().read_one(kNameBytes);
  Result<std::string> service = std::unexpected(message ? Error() : message.error());
  if (message) service = oip::parse_health_message(*message);
  if (!service) {
    co_await grpc.refuse(service.error());
    co_return;
  }
  rt::Cancellation over;
  call.exchange.on_client_gone([&over] { over.cancel(); });
  call.exchange.on_drain([&over] { over.cancel(); });
  call.event.streamed = true;
  grpc.begin();
  std::optional<oip::Health> said;
  while (!over.cancelled() && !call.exchange.client_gone() && !call.exchange.draining()) {
    if (oip::Health now = health_of(*service); said != now) {
      said = now;
      std::string status = oip::encode_health_message(*said);
      std::array<std::string_view, 1> pieces{status};
      auto sent = co_await grpc.grpc().write(pieces);
      if (sent) sent = co_await grpc.grpc().flush();
      if (!sent) break;
    }
    rt::Wait wait(call.exchange.loop(), call.exchange.loop().now() + kLookEvery, &over);
    co_await wait;
  }
  call.exchange.on_client_gone({});
  call.exchange.on_drain({});
  if (call.exchange.client_gone()) {
    call.event.status = 0;  // nobody hears the end
    co_return;
  }
  Error error{Errc::unavailable, "the gateway is being restarted: watch again"};
  co_await grpc.finish(std::move(error));
}

}  // namespace penstock::ext
