#include "ext/sinks/penstock/penstock_sink.h"

#include "codec/encoder.h"
#include "ingest/cbor.h"

namespace penstock::ext {
namespace {

using namespace std::chrono_literals;

constexpr std::int64_t kBatchMax = ingest::kSamplesPerMessageMax;
constexpr base::Duration kTimeout = 30s;
// Below this a coding costs more than it saves.
constexpr std::size_t kCodedBytesLeast = 512;

std::string body_of(std::span<const ingest::Sample> samples, ingest::Format format) {
  std::string body;
  if (format == ingest::Format::cbor) ingest::append_cbor_array_head(body, samples.size());
  for (const ingest::Sample& sample : samples) {
    if (format == ingest::Format::cbor) {
      ingest::append_cbor(body, sample);
    } else {
      ingest::append_json(body, sample);
      body += '\n';
    }
  }
  return body;
}

std::string read_source(config::Map& map) {
  std::string source = map.required_text("source");
  const bool plain = std::all_of(source.begin(), source.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
  });
  if (!plain) map.get("source").problem("the name of a source there has letters, digits, - and _");
  return source;
}

}  // namespace

PenstockSink::PenstockSink(PenstockSinkOptions options, ingest::HttpPort* http)
    : PostSink(options.url, options.batch_bytes, http), options_(std::move(options)) {}

std::optional<std::string> PenstockSink::body(std::span<const ingest::Sample> samples) {
  if (samples.empty()) return std::nullopt;
  return body_of(samples, options_.format);
}

ingest::HttpPost PenstockSink::request(std::string body) {
  ingest::HttpPost post{.url = options_.url, .headers = {}, .body = std::move(body), .timeout = options_.timeout};
  post.headers.emplace_back("content-type",
                            options_.format == ingest::Format::cbor ? "application/cbor" : "application/x-ndjson");
  if (!options_.key.empty()) {
    post.headers.emplace_back("authorization", fmt::format("Bearer {}", options_.key.reveal()));
  }
  if (options_.coding != codec::Coding::identity && post.body.size() >= kCodedBytesLeast) {
    if (auto coded = codec::encode_body(options_.coding, post.body)) {
      post.body = std::move(*coded);
      post.headers.emplace_back("content-encoding", codec::name_of(options_.coding));
    }
  }
  return post;
}

std::unique_ptr<ingest::Sink> make_penstock_sink(const std::string&, const config::Node&, config::Map& map,
                                                 const ingest::Context& context) {
  PenstockSinkOptions options;
  std::string url = ingest::read_post_url(map);
  while (url.ends_with('/')) url.pop_back();
  options.url = url + "/ingest/" + read_source(map);
  options.key = map.secret("key");
  options.format = *ingest::format_named(map.choice("format", {"cbor", "ndjson"}, "cbor"));
  const std::string coding = map.choice("compress", {"zstd", "gzip", "none"}, "zstd");
  options.coding = coding == "none"   ? codec::Coding::identity
                   : coding == "gzip" ? codec::Coding::gzip
                                      : codec::Coding::zstd;
  options.batch = static_cast<std::size_t>(map.integer("batch", 1'000, 1, kBatchMax));
  options.batch_bytes = ingest::read_batch_bytes(map, options.batch_bytes);
  options.timeout = map.duration("timeout", kTimeout);
  return std::make_unique<PenstockSink>(std::move(options), context.http);
}

}  // namespace penstock::ext
