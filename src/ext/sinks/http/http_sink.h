// Samples and alarms as JSON to an HTTP endpoint, signed when there is a secret.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "ingest/post_sink.h"
#include "ingest/webhook_signature.h"

namespace penstock::ext {

struct HttpSinkOptions {
  std::string url;
  ingest::HttpHeaders headers;
  base::Duration timeout{};
  std::size_t batch = 1;                // 1: one object per request; more: an array of what waits, up to this many
  std::size_t batch_bytes = 1'000'000;  // of a request with more than one sample
  bool samples = true;
  bool alarms = false;
  ingest::WebhookSigner signer = ingest::WebhookSigner();
};

// One request at a time, so that the order is kept.
class HttpSink : public ingest::PostSink {
 public:
  HttpSink(HttpSinkOptions options, ingest::HttpPort* http, const base::Clock& clock);
  std::size_t batch_max() const override { return options_.batch; }

 protected:
  std::optional<std::string> body(std::span<const ingest::Sample> samples) override;
  ingest::HttpPost request(std::string body) override;

 private:
  const HttpSinkOptions options_;
  const base::Clock& clock_;
};

std::unique_ptr<ingest::Sink> make_http_sink(const std::string& pipeline, const config::Node& kind, config::Map& map,
                                             const ingest::Context& context);

}  // namespace penstock::ext
