// The Open Inference Protocol V2 over HTTP: /v2, health, metadata, ready, config, stats, infer, and the repository.
#pragma once

#include <mutex>

#include "flow/dialect.h"
#include "infer/engine.h"
#include "infer/oip.h"

namespace penstock::ext {

// {"error": "..."}
class OipDialect : public flow::Dialect {
 public:
  int status(const Error& error) const override;
  std::string error_body(int status, const Error& error, std::string_view id) const override;
};

class OipApi {
 public:
  struct About {
    std::string version;     // of the server
    bool generates = false;  // /generate is there, too
    // Of a request without a longer timeout of its own, for its turn and its answer.
    base::Duration patience = std::chrono::seconds(30);
  };
  // Both outlive this.
  OipApi(infer::Repository& repository, infer::Engine& engine, About about)
      : repository_(repository), engine_(engine), about_(std::move(about)) {}
  // `self` is kept by the routes.
  static void add_routes(flow::ApiBuilder& builder, const std::shared_ptr<OipApi>& self);

  rt::Task<void> server(flow::Call& call);
  rt::Task<void> health(flow::Call& call, bool readiness);
  rt::Task<void> metadata(flow::Call& call, http::Params params);
  rt::Task<void> ready(flow::Call& call, http::Params params);
  rt::Task<void> config(flow::Call& call, http::Params params);
  // Of all models without {m}.
  rt::Task<void> stats(flow::Call& call, http::Params params);
  rt::Task<void> infer(flow::Call& call, http::Params params);
  rt::Task<void> index(flow::Call& call);
  rt::Task<void> load(flow::Call& call, http::Params params);
  rt::Task<void> unload(flow::Call& call, http::Params params);
  // What Triton has and this server does not: `what` in the words of its protocol.
  static rt::Task<void> refuse_extension(flow::Call& call, std::string_view what);

 private:
  using Served = std::shared_ptr<infer::Served>;
  // The caller may use the model that the path names.
  static rt::Task<Result<void>> admit(flow::Call& call, const http::Params& params);
  // The version in memory, after a load where the model is loaded on demand.
  rt::Task<Result<Served>> at_hand(flow::Call& call, std::string version);
  // admit() and at_hand(); nothing after a refusal.
  rt::Task<Served> find(flow::Call& call, http::Params params);
  Result<infer::oip::InferCall> read(flow::Call& call, std::string_view body, const Result<Served>& served) const;
  rt::Task<Result<infer::Response>> run(flow::Call& call, infer::Request request);
  // Loading blocks: on a thread of its own.
  using Change = std::function<Result<void>(infer::Repository&)>;
  rt::Task<void> change(flow::Call& call, Change change);
  rt::Pool& pool();

  infer::Repository& repository_;
  infer::Engine& engine_;
  const About about_;
  std::once_flag pool_once_;
  std::unique_ptr<rt::Pool> pool_;  // made with the first load
};

}  // namespace penstock::ext
