// Samples that devices push: POST /ingest/{source}, and messages of a WebSocket on /ingest/{source}/ws.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>

#include "ingest/contracts.h"
#include "ingest/payload.h"

namespace penstock::ext {

struct HttpSourceOptions {
  std::optional<ingest::Format> format = std::nullopt;  // none: by the content type of each request
  bool durable = false;                                 // answered only once the samples are on disk
};

class HttpSource : public ingest::Source {
 public:
  HttpSource(std::string name, HttpSourceOptions options, const base::Clock& clock);

  Result<void> start(rt::Loop& loop, ingest::Emit emit) override;
  void stop() override;
  ingest::Status status() const override;
  bool durable() const override { return options_.durable; }
  // All or nothing; the number of samples taken. Errc::backpressure when a pipeline is full or the journal cannot take
  // them.
  void accept(std::string content_type, std::string body, Accepted done) override;

 private:
  // Shared with answers under way: the journal's thread may give them after stop(), or when the source is gone.
  struct Tally {
    std::atomic<std::uint64_t> messages{0};
    std::atomic<std::uint64_t> dropped{0};
  };

  const std::string name_;
  const HttpSourceOptions options_;
  const base::Clock& clock_;
  ingest::Emit emit_;
  std::atomic<bool> running_{false};
  const std::shared_ptr<Tally> tally_ = std::make_shared<Tally>();
};

std::unique_ptr<ingest::Source> make_http_source(const std::string& name, const config::Node& kind, config::Map& map,
                                                 const ingest::Context& context);

}  // namespace penstock::ext
