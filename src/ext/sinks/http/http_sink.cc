#include "ext/sinks/http/http_sink.h"

#include <fmt/format.h>

#include "ingest/sample_json.h"

namespace penstock::ext {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kQueueMessages = 1'000;
constexpr base::Duration kBackoffLeast = 500ms;
constexpr base::Duration kBackoffMost = 30s;
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
    : options_(std::move(options)),
      http_(http),
      backoff_(kBackoffLeast, kBackoffMost),
      detail_("nothing sent yet to " + options_.url) {}

Result<void> HttpSink::start(rt::Loop& loop) {
  if (http_ == nullptr) {
    set_status(false, "this run has no HTTP client");
    return fail(Errc::failed_precondition, "this run has no HTTP client");
  }
  loop_ = &loop;
  retry_timer_ = std::make_unique<rt::Timer>(loop);
  alive_ = std::make_shared<bool>(true);
  return {};
}

void HttpSink::stop() {
  dropped_.fetch_add(waiting_.size() + under_way_.size(), std::memory_order_relaxed);
  waiting_.clear();
  under_way_.clear();
  alive_.reset();
  retry_timer_.reset();
  loop_ = nullptr;
  set_status(false, "stopped");
}

ingest::Status HttpSink::status() const {
  std::lock_guard lock(status_mutex_);
  return {.connected = connected_, .detail = detail_, .messages = delivered_, .dropped = dropped_};
}

void HttpSink::set_status(bool connected, std::string detail) {
  std::lock_guard lock(status_mutex_);
  connected_ = connected;
  detail_ = std::move(detail);
}

void HttpSink::deliver(const ingest::Sample& sample) {
  if (loop_ == nullptr) return;
  if (options_.samples) enqueue(ingest::to_json(sample));
  if (options_.alarms && sample.alarm) enqueue(ingest::to_json(*sample.alarm));
  send_waiting();
}

void HttpSink::enqueue(std::string message) {
  waiting_.push_back(std::move(message));
  drop_oldest_beyond_limit();
}

void HttpSink::drop_oldest_beyond_limit() {
  while (waiting_.size() > kQueueMessages) {
    waiting_.pop_front();
    dropped_.fetch_add(1, std::memory_order_relaxed);
  }
}

// A loop, because an answer may come during the call that asks for it.
void HttpSink::send_waiting() {
  if (sending_) return;
  sending_ = true;
  while (loop_ != nullptr && under_way_.empty() && !waiting_.empty() && !retry_timer_->armed()) send_one();
  sending_ = false;
}

void HttpSink::send_one() {
  for (std::size_t i = 0; i < options_.batch && !waiting_.empty(); ++i) {
    under_way_.push_back(std::move(waiting_.front()));
    waiting_.pop_front();
  }
  http_->post(*loop_, {.url = options_.url, .headers = options_.headers, .body = body(), .timeout = options_.timeout},
              [this, alive = std::weak_ptr<bool>(alive_)](Result<int> answer) {
                if (alive.expired()) return;
                answered(answer);
                send_waiting();
              });
}

std::string HttpSink::body() const {
  if (options_.batch == 1) return under_way_.front();
  return fmt::format("[{}]", fmt::join(under_way_, ","));
}

void HttpSink::answered(const Result<int>& answer) {
  if (!answer) return retry(answer.error().detail);
  const int status = *answer;
  if (worth_retrying(status)) return retry(fmt::format("the server answered {}", status));
  const std::size_t count = std::exchange(under_way_, {}).size();
  backoff_.reset();
  if (status >= 200 && status < 300) {
    delivered_.fetch_add(count, std::memory_order_relaxed);
    set_status(true, "sending to " + options_.url);
    return;
  }
  dropped_.fetch_add(count, std::memory_order_relaxed);
  set_status(true,
             fmt::format("{} refused the last request with {}: check the address and `headers`", options_.url, status));
}

// Back to the front of the queue, where they are the oldest.
void HttpSink::retry(std::string why) {
  waiting_.insert(waiting_.begin(), std::make_move_iterator(under_way_.begin()),
                  std::make_move_iterator(under_way_.end()));
  under_way_.clear();
  drop_oldest_beyond_limit();
  set_status(false, fmt::format("{}: {}", options_.url, why));
  retry_timer_->arm_in(backoff_.next(), [this] { send_waiting(); });
}

std::unique_ptr<ingest::Sink> make_http_sink(const std::string&, const config::Node& kind,
                                             const ingest::Context& context) {
  config::Map map = kind.map();
  HttpSinkOptions options;
  options.url = read_url(map);
  options.headers = read_headers(map);
  options.timeout = map.duration("timeout", kTimeout);
  options.batch = static_cast<std::size_t>(map.integer("batch", 1, 1, static_cast<std::int64_t>(kQueueMessages)));
  const std::string what = map.choice("what", {"samples", "alarms", "all"}, "samples");
  options.samples = what != "alarms";
  options.alarms = what != "samples";
  map.done();
  return std::make_unique<HttpSink>(std::move(options), context.http);
}

}  // namespace penstock::ext
