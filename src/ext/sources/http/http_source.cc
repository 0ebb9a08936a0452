#include "ext/sources/http/http_source.h"

#include <fmt/format.h>

#include "ingest/speaker.h"

namespace penstock::ext {

HttpSource::HttpSource(std::string name, HttpSourceOptions options, const base::Clock& clock)
    : name_(std::move(name)), options_(options), clock_(clock) {}

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
          .messages = tally_->messages,
          .dropped = tally_->dropped};
}

void HttpSource::accept(std::string content_type, std::string body, Accepted done) {
  if (!emit_) return done(fail(Errc::unavailable, fmt::format("the source '{}' is not running", name_)));
  const auto format = options_.format ? options_.format : ingest::format_of(content_type);
  Result<std::vector<ingest::Sample>> samples =
      fail(Errc::invalid_argument, fmt::format("content-type '{}' is not taken: send application/json, "
                                               "application/x-ndjson, application/cbor, text/csv, or Influx lines as "
                                               "text/plain",
                                               content_type));
  if (format)
    samples = ingest::samples_from(*format, body, {.device = ingest::speaker_or(name_), .now = clock_.wall()});
  if (!samples) {
    tally_->dropped.fetch_add(1, std::memory_order_relaxed);
    return done(std::unexpected(std::move(samples.error())));
  }
  if (auto own = ingest::check_speaker(*samples); !own) return done(std::unexpected(std::move(own.error())));
  const std::size_t count = samples->size();
  if (count == 0) return done(count);
  emit_.store(std::move(*samples), [tally = tally_, name = name_, count, done = std::move(done)](bool stored) {
    (stored ? tally->messages : tally->dropped).fetch_add(count, std::memory_order_relaxed);
    if (stored) return done(count);
    done(fail(Errc::backpressure,
              fmt::format("what is behind the source '{}' is full: send the request again later", name)));
  });
}

std::unique_ptr<ingest::Source> make_http_source(const std::string& name, const config::Node& kind, config::Map& map,
                                                 const ingest::Context& context) {
  kind.map().done();
  HttpSourceOptions options;
  options.format =
      ingest::format_named(map.choice("format", {"auto", "json", "ndjson", "cbor", "line", "csv"}, "auto"));
  options.durable = map.boolean("durable", false);
  return std::make_unique<HttpSource>(name, options, *context.clock);
}

}  // namespace penstock::ext
