// Samples and alarms as JSON to an HTTP endpoint.
#pragma once

#include <atomic>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "base/backoff.h"
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
  void deliver(const ingest::Sample& sample) override;
  void stop() override;
  ingest::Status status() const override;

 private:
  void enqueue(std::string message);
  void send_waiting();
  void send_one();
  void answered(const Result<int>& answer);
  void retry(std::string why);
  void drop_oldest_beyond_limit();
  std::string body() const;
  void set_status(bool connected, std::string detail);

  const HttpSinkOptions options_;
  ingest::HttpPort* const http_;
  rt::Loop* loop_ = nullptr;
  std::unique_ptr<rt::Timer> retry_timer_;
  std::shared_ptr<bool> alive_;  // gone after stop(): answers that come later are nobody's
  base::Backoff backoff_;
  std::deque<std::string> waiting_;
  std::vector<std::string> under_way_;
  bool sending_ = false;
  std::atomic<std::uint64_t> delivered_{0};
  std::atomic<std::uint64_t> dropped_{0};
  mutable std::mutex status_mutex_;  // guards the two below
  bool connected_ = false;
  std::string detail_;
};

std::unique_ptr<ingest::Sink> make_http_sink(const std::string& pipeline, const config::Node& kind,
                                             const ingest::Context& context);

}  // namespace penstock::ext
