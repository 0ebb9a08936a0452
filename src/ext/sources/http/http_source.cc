#include "ext/sources/http/http_source.h"

#include <fmt/format.h>

#include "json/value.h"

namespace penstock::ext {
namespace {

enum class Body { json, lines, unknown };

// By media type, its parameters aside (RFC 9110 section 8.3.1). No type at all is taken as JSON: small devices send
// none.
Body body_of(std::string_view content_type) {
  std::string type;
  for (char c : content_type.substr(0, content_type.find(';'))) {
    if (c != ' ' && c != '\t') type += static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
  }
  if (type == "application/x-ndjson" || type == "application/ndjson" || type == "application/jsonl") return Body::lines;
  if (type.empty() || type == "application/json" || type == "text/json" || type.ends_with("+json")) return Body::json;
  // What `curl -d` says when nobody told it better.
  return type == "application/x-www-form-urlencoded" ? Body::json : Body::unknown;
}

Result<std::vector<ingest::Sample>> decode(std::string_view content_type, std::string_view body,
                                           const ingest::SampleDefaults& defaults) {
  switch (body_of(content_type)) {
    case Body::json: return ingest::samples_from_json(body, defaults);
    case Body::lines: return samples_from_lines(body, defaults);
    case Body::unknown: break;
  }
  return fail(Errc::invalid_argument, fmt::format("content-type '{}' is not taken: send application/json or "
                                                  "application/x-ndjson",
                                                  content_type));
}

}  // namespace

Result<std::vector<ingest::Sample>> samples_from_lines(std::string_view text, const ingest::SampleDefaults& defaults) {
  std::vector<ingest::Sample> samples;
  for (std::size_t number = 1; !text.empty(); ++number) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    if (samples.size() >= ingest::kSamplesPerMessageMax) {
      return fail(Errc::out_of_range, fmt::format("line {}: a request holds at most {} samples; send more requests",
                                                  number, ingest::kSamplesPerMessageMax));
    }
    auto value = json::parse(line);
    auto sample = value ? ingest::sample_from_json(*value, defaults) : std::unexpected(std::move(value.error()));
    if (!sample) return fail(sample.error().code, fmt::format("line {}: {}", number, sample.error().detail));
    samples.push_back(std::move(*sample));
  }
  return samples;
}

HttpSource::HttpSource(std::string name, const base::Clock& clock) : name_(std::move(name)), clock_(clock) {}

Result<void> HttpSource::start(rt::Loop&, ingest::Emit emit) {
  emit_ = std::move(emit);
  running_ = true;
  return {};
}

void HttpSource::stop() {
  running_ = false;
  emit_ = {};
}

ingest::Status HttpSource::status() const {
  return {.connected = running_,
          .detail = running_ ? "takes POST /ingest/" + name_ : "stopped",
          .messages = messages_,
          .dropped = dropped_};
}

void HttpSource::accept(std::string content_type, std::string body, Accepted done) {
  if (!emit_) return done(fail(Errc::unavailable, fmt::format("the source '{}' is not running", name_)));
  auto samples = decode(content_type, body, {.device = name_, .now = clock_.wall()});
  if (!samples) {
    dropped_.fetch_add(1, std::memory_order_relaxed);
    return done(std::unexpected(std::move(samples.error())));
  }
  const std::size_t count = samples->size();
  if (count == 0) return done(count);
  emit_.store(std::move(*samples), [this, count, done = std::move(done)](bool stored) {
    (stored ? messages_ : dropped_).fetch_add(count, std::memory_order_relaxed);
    if (stored) return done(count);
    done(fail(Errc::backpressure,
              fmt::format("a pipeline behind the source '{}' is full: send the request again later", name_)));
  });
}

std::unique_ptr<ingest::Source> make_http_source(const std::string& name, const config::Node& kind, config::Map& map,
                                                 const ingest::Context& context) {
  kind.map().done();
  map.choice("format", {"json"}, "json");
  auto source = std::make_unique<HttpSource>(name, *context.clock);
  source->durable_ = map.boolean("durable", false);
  return source;
}

}  // namespace penstock::ext
