// How lanes reach each other: the composition root's answers to the ports they declare.
#pragma once

#include <map>
#include <string>

#include "http/client.h"
#include "infer/engine.h"
#include "ingest/contracts.h"

namespace penstock::app {

// Pipelines ask local models.
class LocalModels : public ingest::ModelPort {
 public:
  LocalModels(const infer::Repository& repository, infer::Engine& engine) : repository_(repository), engine_(engine) {}
  void infer(rt::Loop& loop, const std::string& model, std::vector<ingest::NamedArray> inputs, base::Duration timeout,
             std::function<void(Result<std::vector<ingest::NamedArray>>)> done) override;

 private:
  const infer::Repository& repository_;
  infer::Engine& engine_;
};

// Sinks post to webhooks over the pools of the loops.
class WebhookClient : public ingest::HttpPort {
 public:
  explicit WebhookClient(std::vector<http::ClientPool*> pools) : pools_(std::move(pools)), origins_(pools_.size()) {}
  void post(rt::Loop& loop, ingest::HttpPost request, std::function<void(Result<int>)> done) override;

 private:
  Result<std::shared_ptr<const http::Origin>> origin_of(std::size_t core, const net::Url& url);
  std::vector<http::ClientPool*> pools_;
  std::vector<std::map<std::string, std::shared_ptr<const http::Origin>>>
      origins_;  // per core, by scheme and authority
};

}  // namespace penstock::app
