// Samples that devices push: POST /ingest/{source}.
#pragma once

#include <atomic>
#include <memory>
#include <string>

#include "ingest/contracts.h"
#include "ingest/sample_json.h"

namespace penstock::ext {

class HttpSource : public ingest::Source {
 public:
  HttpSource(std::string name, const base::Clock& clock);

  Result<void> start(rt::Loop& loop, ingest::Emit emit) override;
  void stop() override;
  ingest::Status status() const override;
  // JSON (an object, an array, or one object per line) for application/json and +json, one object per line for
  // application/x-ndjson. All or nothing; the number of samples taken. Errc::backpressure when a pipeline is full.
  bool durable() const override { return durable_; }
  void accept(std::string content_type, std::string body, Accepted done) override;

 private:
  const std::string name_;
  bool durable_ = false;
  friend std::unique_ptr<ingest::Source> make_http_source(const std::string& name, const config::Node& kind, config::Map& map,
                                                 const ingest::Context& context);
  const base::Clock& clock_;
  ingest::Emit emit_;
  std::atomic<bool> running_{false};
  std::atomic<std::uint64_t> messages_{0};
  std::atomic<std::uint64_t> dropped_{0};
};

std::unique_ptr<ingest::Source> make_http_source(const std::string& name, const config::Node& kind, config::Map& map,
                                                 const ingest::Context& context);

// One JSON object per line; blank lines are skipped. The error names the line, counted from 1.
Result<std::vector<ingest::Sample>> samples_from_lines(std::string_view text, const ingest::SampleDefaults& defaults);

}  // namespace penstock::ext
