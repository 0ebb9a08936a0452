#include "ext/apis/oip/oip_api.h"

#include "flow/permission.h"
#include "rt/await.h"

namespace penstock::ext {
namespace {

namespace oip = infer::oip;

// How long a caller who only wants to know about a model waits for its load.
constexpr auto kLoadTimeout = std::chrono::seconds(30);

std::string text(const http::Params& params, std::string_view name) { return std::string(http::param(params, name)); }

// Of the version that the path names, or of the model.
struct Readiness {
  bool known = false;
  bool ready = false;
  std::string why = {};
};

Readiness readiness_of(const infer::ModelStatus& model, std::string_view version) {
  // One that is loaded on demand can be asked at any time, unless that failed.
  bool ready = model.ready || (model.dormant && model.reason.empty());
  Readiness found{.known = version.empty(), .ready = version.empty() && ready, .why = model.reason};
  for (const infer::VersionStatus& one : model.versions) {
    bool meant = one.version == version || std::ranges::find(one.labels, version) != one.labels.end();
    if (version.empty() ? !ready : meant) {
      found.known = true;
      found.ready = found.ready || (meant && one.ready);
      if (!one.reason.empty()) found.why = one.reason;
    }
  }
  if (found.ready) found.why.clear();
  return found;
}

}  // namespace

int OipDialect::status(const Error& error) const { return oip::http_status(error.code); }
std::string OipDialect::error_body(int, const Error& error, std::string_view) const { return oip::encode_error(error); }

rt::Task<void> OipApi::server(flow::Call& call) {
  co_await flow::respond_json(call, 200, oip::encode_server(about_.version, about_.generates));
}

rt::Task<void> OipApi::health(flow::Call& call, bool readiness) {
  bool ready = repository_.ready();
  co_await flow::respond_json(call, ready || !readiness ? 200 : 503, oip::encode_health(ready));
}

rt::Task<Result<void>> OipApi::admit(flow::Call& call, const http::Params& params) {
  call.model = text(params, "m");
  call.needs.add(flow::Capability::infer);
  if (auto known = flow::identify(call); !known) return rt::Task<Result<void>>::ready(std::move(known));
  return flow::admit(call);
}

rt::Task<Result<OipApi::Served>> OipApi::at_hand(flow::Call& call, std::string version) {
  auto served = repository_.find(call.model, version);
  if (served || served.error().code != Errc::unavailable) co_return served;
  infer::Request wanted;
  wanted.model = call.model;
  wanted.version = version;
  std::function<void(std::function<void(Result<void>)>)> start = [&](std::function<void(Result<void>)> done) {
    base::SteadyTime deadline = std::chrono::steady_clock::now() + kLoadTimeout;
    if (!repository_.when_loaded(call.exchange.loop(), wanted, deadline, done)) done(std::unexpected(served.error()));
  };
  rt::Callback<Result<void>> loading(call.exchange.loop(), std::move(start));
  auto loaded = co_await loading;
  if (!loaded) co_return std::unexpected(loaded.error());
  co_return repository_.find(call.model, version);
}

rt::Task<OipApi::Served> OipApi::find(flow::Call& call, http::Params params) {
  auto passed = co_await admit(call, params);
  Result<Served> served = nullptr;
  if (passed) {
    served = co_await at_hand(call, text(params, "v"));
  } else {
    served = std::unexpected(passed.error());
  }
  if (served) co_return *served;
  co_await flow::refuse(call, served.error());
  co_return nullptr;
}

rt::Task<void> OipApi::metadata(flow::Call& call, http::Params params) {
  auto served = co_await find(call, params);
  if (!served) co_return;
  std::vector<std::string> versions = repository_.ready_versions(call.model);
  co_await flow::respond_json(call, 200, oip::encode_model(call.model, versions, served->model->info()));
}

rt::Task<void> OipApi::config(flow::Call& call, http::Params params) {
  auto served = co_await find(call, params);
  if (served) co_await flow::respond_json(call, 200, oip::encode_config(*served->config, served->model->info()));
}

rt::Task<void> OipApi::ready(flow::Call& call, http::Params params) {
  auto passed = co_await admit(call, params);
  if (!passed) {
    co_await flow::refuse(call, passed.error());
    co_return;
  }
  std::string version = text(params, "v");
  Readiness found;
  for (const infer::ModelStatus& model : repository_.status()) {
    if (model.name == call.model) found = readiness_of(model, version);
  }
  if (!found.known) {
    // Its words for what is not there; a version that is none of the served ones may still be a label.
    auto served = repository_.find(call.model, version);
    if (!served) {
      co_await flow::refuse(call, served.error());
      co_return;
    }
    found.ready = true;
  }
  co_await flow::respond_json(call, found.ready ? 200 : 503,
                              oip::encode_model_ready(call.model, found.ready, found.why));
}

rt::Task<void> OipApi::stats(flow::Call& call, http::Params params) {
  std::string version;
  if (params.empty()) {
    if (auto known = flow::identify(call); !known) {
      co_await flow::refuse(call, known.error());
      co_return;
    }
  } else {
    auto served = co_await find(call, params);
    if (!served) co_return;
    // A label stands for a number.
    if (!http::param(params, "v").empty()) version = served->version;
  }
  std::vector<infer::ModelStatus> models = repository_.status();
  if (params.empty()) std::erase_if(models, [&](const auto& model) { return !flow::may_use(call, model.name); });
  co_await flow::respond_json(call, 200, oip::encode_stats(models, text(params, "m"), version));
}

rt::Task<void> OipApi::refuse_extension(flow::Call& call, std::string_view what) {
  Error error{Errc::unimplemented, fmt::format("{} is not offered by this server; what is stands at GET /v2", what)};
  if (auto known = flow::identify(call); !known) error = known.error();
  co_await flow::refuse(call, std::move(error));
}

}  // namespace penstock::ext
