// What sinks that send HTTP POSTs have in common: one request at a time, what the answer means, and the address.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "ingest/contracts.h"
#include "ingest/portion.h"

namespace penstock::ingest {

using HttpHeaders = std::vector<std::pair<std::string, std::string>>;

// What becomes of samples whose request was answered so (RFC 9110 section 15, RFC 6585): 2xx is confirmed; what another
// day or an operator may change (5xx, 3xx, 401, 403, 404, 407, 408, 425, 429) is sent again; the rest is refused.
Sent::Outcome outcome_of(int status);

// On the loop, but for status(). A request that is refused is sent again in halves, until what is refused is one
// sample.
class PostSink : public Sink {
 public:
  // Status and errors show shown_url(url). `body_bytes_max`: of a request's body() with more than one sample.
  PostSink(std::string url, std::size_t body_bytes_max, HttpPort* http);

  Result<void> start(rt::Loop& loop) override;
  void send(Batch batch, std::function<void(Sent)> done) override;
  void stop() override;
  Status status() const override;

 protected:
  // None when there is nothing of these samples to send: they are confirmed then. Called on the loop.
  virtual std::optional<std::string> body(std::span<const Sample> samples) = 0;
  // Called on the loop.
  virtual HttpPost request(std::string body) = 0;
  const std::string& url() const { return url_; }

 private:
  Sent answered(const Result<int>& answer, std::size_t sent, std::size_t samples);
  void set_status(bool connected, std::string detail);

  const std::string url_;
  const std::size_t body_bytes_max_;
  HttpPort* const http_;
  Portion portion_;
  rt::Loop* loop_ = nullptr;
  std::shared_ptr<bool> alive_;  // gone after stop(): answers that come later are nobody's
  std::atomic<std::uint64_t> delivered_{0};
  mutable std::mutex status_mutex_;  // guards the two below
  bool connected_ = false;
  std::string detail_;
};

// `batch_bytes`: 1KB to 1GB.
std::size_t read_batch_bytes(config::Map& map, std::size_t fallback);
// An address as people may see it: tokens stand in queries, fragments and before an @.
// "https://user:password@host/hook?token=x" is "https://host/hook?...".
std::string shown_url(std::string_view url);
// `url`, required: http:// or https://, without credentials in it.
std::string read_post_url(config::Map& map);
// `headers`: names in lower case, with `content_type` unless one is named.
HttpHeaders read_post_headers(config::Map& map, std::string_view content_type);

}  // namespace penstock::ingest
