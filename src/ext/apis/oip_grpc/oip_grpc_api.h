// inference.GRPCInferenceService and grpc.health.v1.Health on the gateway's own HTTP/2 listeners.
#pragma once

#include <mutex>

#include "ext/apis/oip_grpc/grpc_call.h"
#include "flow/dialect.h"
#include "infer/engine.h"
#include "rt/pool.h"

namespace penstock::ext {

// For what is refused before gRPC is spoken: {"error": "..."}. Its statuses are what the access log shows for calls.
class OipGrpcDialect : public flow::Dialect {
 public:
  int status(const Error& error) const override;
  std::string error_body(int status, const Error& error, std::string_view id) const override;
};

class OipGrpcApi {
 public:
  OipGrpcApi(infer::Repository& repository, infer::Engine& engine, std::string version)
      : repository_(repository), engine_(engine), version_(std::move(version)) {}
  void add_routes(flow::ApiBuilder& builder, const std::shared_ptr<OipGrpcApi>& self);

 private:
  // A unary method that is no inference: its message in, its answer out.
  using Work = rt::Task<Result<std::string>> (OipGrpcApi::*)(flow::Call& call, std::string_view message);
  struct Method {
    const char* path;
    Work work;
    bool keyed;               // only for whoever may use the gateway
    std::uint64_t bytes_max;  // of its message
  };
  static const std::array<Method, 11> kMethods;

  rt::Task<void> unary(flow::Call& call, const Method& method);
  rt::Task<void> infer(flow::Call& call);
  rt::Task<void> stream(flow::Call& call);
  rt::Task<void> watch(flow::Call& call);
  rt::Task<void> unknown(flow::Call& call, std::string service, std::string method);

  rt::Task<Result<std::string>> server_live(flow::Call& call, std::string_view message);
  rt::Task<Result<std::string>> server_ready(flow::Call& call, std::string_view message);
  rt::Task<Result<std::string>> server_metadata(flow::Call& call, std::string_view message);
  rt::Task<Result<std::string>> model_ready(flow::Call& call, std::string_view message);
  rt::Task<Result<std::string>> model_metadata(flow::Call& call, std::string_view message);
  rt::Task<Result<std::string>> model_config(flow::Call& call, std::string_view message);
  rt::Task<Result<std::string>> model_statistics(flow::Call& call, std::string_view message);
  rt::Task<Result<std::string>> index(flow::Call& call, std::string_view message);
  rt::Task<Result<std::string>> load(flow::Call& call, std::string_view message);
  rt::Task<Result<std::string>> unload(flow::Call& call, std::string_view message);
  rt::Task<Result<std::string>> health(flow::Call& call, std::string_view message);

  // The model a message names, for a caller who may use it.
  rt::Task<Result<std::shared_ptr<infer::Served>>> find(flow::Call& call, std::string_view message);
  rt::Task<Result<void>> load_on_demand(flow::Call& call, infer::oip::ModelName named, Error otherwise);
  // Changes models on a thread of its own: it takes as long as it takes.
  rt::Task<Result<std::string>> change(flow::Call& call, std::string model, std::function<Result<void>()> work);
  rt::Pool& loader();
  infer::oip::Health health_of(std::string_view service) const;

  infer::Repository& repository_;
  infer::Engine& engine_;
  std::string version_;
  http::BodyCodec codec_;
  std::once_flag loader_once_;
  std::unique_ptr<rt::Pool> loader_;  // made with the first change
};

}  // namespace penstock::ext
