// Samples and alarms as JSON to an HTTP endpoint.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "ingest/contracts.h"

namespace penstock::ext {

struct HttpSinkOptions {
  std::string url;
  std::vector<std::pair<std::string, std::string>> headers;
  base::Duration timeout{};
  std::size_t batch = 1;  // 1: one object per request; more: an array of what waits, up to this many
  bool samples = true;
  bool alarms = false;
};

// One request at a time, so that the order is kept. On the loop, but for status().
class HttpSink : public ingest::Sink {
 public:
  HttpSink(HttpSinkOptions options, ingest::HttpPort* http);

  Result<void> start(rt::Loop& loop) override;
  std::size_t batch_max() const override { return options_.batch; }
  void send(ingest::Batch batch, std::function<void(ingest::Sent)> done) override;
  void stop() override;
  ingest::Status status() const override;

 private:
  ingest::Sent answered(const Result<int>& answer, std::size_t samples);
  std::string body(const std::vector<ingest::Sample>& samples) const;
  void set_status(bool connected, std::string detail);

  const HttpSinkOptions options_;
  ingest::HttpPort* const http_;
  rt::Loop* loop_ = nullptr;
  std::shared_ptr<bool> alive_;  // gone after stop(): answers that come later are nobody's
  std::atomic<std::uint64_t> delivered_{0};
  mutable std::mutex status_mutex_;  // guards the two below
  bool connected_ = false;
  std::string detail_;
};

std::unique_ptr<ingest::Sink> make_http_sink(const std::string& pipeline, const config::Node& kind, config::Map& map,
                                             const ingest::Context& context);

}  // namespace penstock::ext
