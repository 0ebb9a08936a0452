#include "ext/sinks/http/http_sink.h"

#include <fmt/format.h>

#include "ingest/sample_json.h"

namespace penstock::ext {
namespace {

using namespace std::chrono_literals;

constexpr std::int64_t kBatchMax = 1'000;
constexpr base::Duration kTimeout = 10s;

}  // namespace

HttpSink::HttpSink(HttpSinkOptions options, ingest::HttpPort* http, const base::Clock& clock)
    : PostSink(options.url, options.batch_bytes, http), options_(std::move(options)), clock_(clock) {}

std::optional<std::string> HttpSink::body(std::span<const ingest::Sample> samples) {
  std::vector<std::string> messages;
  for (const ingest::Sample& sample : samples) {
    if (options_.samples) messages.push_back(ingest::to_json(sample));
    if (options_.alarms && sample.alarm) messages.push_back(ingest::to_json(*sample.alarm));
  }
  if (messages.empty()) return std::nullopt;
  if (options_.batch > 1) return fmt::format("[{}]", fmt::join(messages, ","));
  return fmt::format("{}", fmt::join(messages, "\n"));
}

ingest::HttpPost HttpSink::request(std::string body) {
  ingest::HttpPost post{
      .url = options_.url, .headers = options_.headers, .body = std::move(body), .timeout = options_.timeout};
  for (auto& header : options_.signer.headers(post.body, clock_.wall())) post.headers.push_back(std::move(header));
  return post;
}

std::unique_ptr<ingest::Sink> make_http_sink(const std::string&, const config::Node&, config::Map& map,
                                             const ingest::Context& context) {
  HttpSinkOptions options;
  options.url = ingest::read_post_url(map);
  options.headers = ingest::read_post_headers(map, "application/json");
  options.timeout = map.duration("timeout", kTimeout);
  options.batch = static_cast<std::size_t>(map.integer("batch", 1, 1, kBatchMax));
  options.batch_bytes = ingest::read_batch_bytes(map, options.batch_bytes);
  const std::string what = map.choice("what", {"samples", "alarms", "all"}, "samples");
  options.samples = what != "alarms";
  options.alarms = what != "samples";
  options.signer = ingest::read_webhook_signer(map);
  return std::make_unique<HttpSink>(std::move(options), context.http, *context.clock);
}

}  // namespace penstock::ext
