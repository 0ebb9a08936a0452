// The Open Inference Protocol V2 over HTTP: /v2, health, metadata, ready, config, stats, infer, repository index.
#pragma once

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
  OipApi(infer::Repository& repository, infer::Engine& engine, std::string version)
      : repository_(repository), engine_(engine), version_(std::move(version)) {}
  void add_routes(flow::ApiBuilder& builder, const std::shared_ptr<OipApi>& self);

  rt::Task<void> server(flow::Call& call) const;
  rt::Task<void> health(flow::Call& call, bool readiness) const;
  rt::Task<void> metadata(flow::Call& call, http::Params params) const;
  rt::Task<void> ready(flow::Call& call, http::Params params) const;
  rt::Task<void> config(flow::Call& call, http::Params params) const;
  rt::Task<void> stats(flow::Call& call, http::Params params) const;
  rt::Task<void> infer(flow::Call& call, http::Params params) const;
  rt::Task<void> index(flow::Call& call) const;

 private:
  // The model a path names, for a caller who may use it; nothing after a refusal.
  rt::Task<std::shared_ptr<infer::Served>> find(flow::Call& call, const http::Params& params) const;
  infer::Repository& repository_;
  infer::Engine& engine_;
  std::string version_;
};

}  // namespace penstock::ext
