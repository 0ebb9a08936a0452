#include "ext/sinks/http/http_sink.h"

#include <fmt/format.h>

#include "ingest/sample_json.h"

namespace penstock::ext {
namespace {

using namespace std::chrono_literals;

constexpr std::int64_t kBatchMax = 1'000;
constexpr base::Duration kTimeout = 10s;

// What may be different next time (RFC 9110 section 15, RFC 6585): the server's own trouble and its pleas to wait.
bool worth_retrying(int status) { return status >= 500 || status == 429 || status == 408; }

bool is_token(std::string_view name) {
  constexpr std::string_view kMarks = "!#$%&'*+-.^_`|~";
  return !name.empty() && std::all_of(name.begin(), name.end(), [&](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           kMarks.find(c) != std::string_view::npos;
  });
}

bool is_header_value(std::string_view value) {
  return std::none_of(value.begin(), value.end(),
                      [](char c) { return (static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == 0x7f; });
}

std::string read_url(config::Map& map) {
  std::string url = map.required_text("url");
  std::string_view rest = url;
  const bool known = rest.starts_with("http://") || rest.starts_with("https://");
  if (known) rest.remove_prefix(rest.find("//") + 2);
  const std::string_view host = rest.substr(0, rest.find_first_of("/?#"));
  if (!map.has("url")) return url;
  if (!known || host.empty()) {
    map.get("url").problem("the address is http://host/path or https://host/path");
  } else if (host.find('@') != std::string_view::npos) {
    map.get("url").problem(
        "no credentials in the address: send them as a header, "
        "headers: { authorization: \"Bearer ${TOKEN}\" }");
  }
  return url;
}

std::vector<std::pair<std::string, std::string>> read_headers(config::Map& map) {
  std::vector<std::pair<std::string, std::string>> headers;
  bool typed = false;
  if (config::Node node = map.get("headers"); node.present()) {
    for (auto& [name, value] : node.map().entries()) {
      std::string text = value.text();
      if (!is_token(name)) value.problem("this is no name of a header");
      if (!is_header_value(text)) value.problem("the value of a header has no line breaks or control characters");
      std::string lower = name;
      std::transform(lower.begin(), lower.end(), lower.begin(),
                     [](char c) { return static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c); });
      typed = typed || lower == "content-type";
      headers.emplace_back(std::move(lower), std::move(text));
    }
  }
  if (!typed) headers.emplace_back("content-type", "application/json");
  return headers;
}

}  // namespace

HttpSink::HttpSink(HttpSinkOptions options, ingest::HttpPort* http)
    : options_(std::move(options)), http_(http), detail_("nothing sent yet to " + options_.url) {}

Result<void> HttpSink::start(rt::Loop& loop) {
  if (http_ == nullptr) {
    set_status(false, "this run has no HTTP client");
    return fail(Errc::failed_precondition, "this run has no HTTP client");
  }
  loop_ = &loop;
  alive_ = std::make_shared<bool>(true);
  return {};
}

void HttpSink::stop() {
  alive_.reset();
  loop_ = nullptr;
  set_status(false, "stopped");
}

ingest::Status HttpSink::status() const {
  std::lock_guard lock(status_mutex_);
  return {.connected = connected_, .detail = detail_, .messages = delivered_};
}

void HttpSink::set_status(bool connected, std::string detail) {
  std::lock_guard lock(status_mutex_);
  connected_ = connected;
  detail_ = std::move(detail);
}

void HttpSink::send(ingest::Batch batch, std::function<void(ingest::Sent)> done) {
  std::string text = body(*batch);
  if (text.empty()) return done({});
  http_->post(
      *loop_, {.url = options_.url, .headers = options_.headers, .body = std::move(text), .timeout = options_.timeout},
      [this, alive = std::weak_ptr<bool>(alive_), samples = batch->size(), done = std::move(done)](Result<int> answer) {
        if (!alive.expired()) done(answered(answer, samples));
      });
}

// Empty when none of the samples holds what this sink sends.
std::string HttpSink::body(const std::vector<ingest::Sample>& samples) const {
  std::vector<std::string> messages;
  for (const ingest::Sample& sample : samples) {
    if (options_.samples) messages.push_back(ingest::to_json(sample));
    if (options_.alarms && sample.alarm) messages.push_back(ingest::to_json(*sample.alarm));
  }
  if (options_.batch > 1) return messages.empty() ? "" : fmt::format("[{}]", fmt::join(messages, ","));
  return fmt::format("{}", fmt::join(messages, "\n"));
}

ingest::Sent HttpSink::answered(const Result<int>& answer, std::size_t samples) {
  using Outcome = ingest::Sent::Outcome;
  if (!answer || worth_retrying(*answer)) {
    std::string why = answer ? fmt::format("the server answered {}", *answer) : answer.error().detail;
    set_status(false, fmt::format("{}: {}", options_.url, why));
    return {.outcome = Outcome::again, .why = std::move(why)};
  }
  if (*answer >= 200 && *answer < 300) {
    delivered_.fetch_add(samples, std::memory_order_relaxed);
    set_status(true, "sending to " + options_.url);
    return {};
  }
  std::string why =
      fmt::format("{} refused the last request with {}: check the address and `headers`", options_.url, *answer);
  set_status(true, why);
  return {.outcome = Outcome::refused, .why = std::move(why)};
}

std::unique_ptr<ingest::Sink> make_http_sink(const std::string&, const config::Node&, config::Map& map,
                                             const ingest::Context& context) {
  HttpSinkOptions options;
  options.url = read_url(map);
  options.headers = read_headers(map);
  options.timeout = map.duration("timeout", kTimeout);
  options.batch = static_cast<std::size_t>(map.integer("batch", 1, 1, kBatchMax));
  const std::string what = map.choice("what", {"samples", "alarms", "all"}, "samples");
  options.samples = what != "alarms";
  options.alarms = what != "samples";
  return std::make_unique<HttpSink>(std::move(options), context.http);
}

}  // namespace penstock::ext
