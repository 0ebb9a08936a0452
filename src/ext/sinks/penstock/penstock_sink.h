// Samples to another gateway: POST /ingest/{source} there.
#pragma once

#include <memory>
#include <string>

#include "base/secret.h"
#include "codec/coding.h"
#include "ingest/payload.h"
#include "ingest/post_sink.h"

namespace penstock::ext {

struct PenstockSinkOptions {
  std::string url;  // of the source there
  base::Secret key;
  ingest::Format format = ingest::Format::cbor;  // or ndjson
  codec::Coding coding = codec::Coding::zstd;
  std::size_t batch = 1'000;
  std::size_t batch_bytes = 4'000'000;  // of a request with more than one sample, before `coding`
  base::Duration timeout{};
};

// One request at a time, so that the order is kept.
class PenstockSink : public ingest::PostSink {
 public:
  PenstockSink(PenstockSinkOptions options, ingest::HttpPort* http);
  std::size_t batch_max() const override { return options_.batch; }

 protected:
  std::optional<std::string> body(std::span<const ingest::Sample> samples) override;
  ingest::HttpPost request(std::string body) override;

 private:
  const PenstockSinkOptions options_;
};

std::unique_ptr<ingest::Sink> make_penstock_sink(const std::string& pipeline, const config::Node& kind,
                                                 config::Map& map, const ingest::Context& context);

}  // namespace penstock::ext
