#include "ingest/post_sink.h"

#include <algorithm>

namespace penstock::ingest {
namespace {

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

}  // namespace

Sent::Outcome outcome_of(int status) {
  constexpr int kMayChange[] = {401, 403, 404, 407, 408, 425, 429};
  if (status >= 200 && status < 300) return Sent::Outcome::confirmed;
  const bool changes = std::find(std::begin(kMayChange), std::end(kMayChange), status) != std::end(kMayChange);
  return changes || status < 400 || status >= 500 ? Sent::Outcome::again : Sent::Outcome::refused;
}

PostSink::PostSink(std::string url, std::size_t body_bytes_max, HttpPort* http)
    : url_(shown_url(url)), body_bytes_max_(body_bytes_max), http_(http), detail_("nothing sent yet to " + url_) {}

Result<void> PostSink::start(rt::Loop& loop) {
  if (http_ == nullptr) {
    set_status(false, "this run has no HTTP client");
    return fail(Errc::failed_precondition, "this run has no HTTP client");
  }
  loop_ = &loop;
  alive_ = std::make_shared<bool>(true);
  return {};
}

void PostSink::stop() {
  alive_.reset();
  loop_ = nullptr;
  set_status(false, "stopped");
}

Status PostSink::status() const {
  std::lock_guard lock(status_mutex_);
  return {.connected = connected_, .detail = detail_, .messages = delivered_};
}

void PostSink::set_status(bool connected, std::string detail) {
  std::lock_guard lock(status_mutex_);
  connected_ = connected;
  detail_ = std::move(detail);
}

void PostSink::send(Batch batch, std::function<void(Sent)> done) {
  if (loop_ == nullptr) {
    return done({.outcome = Sent::Outcome::again, .why = status().detail});
  }
  std::size_t count = portion_.of(batch->size());
  auto text = body({batch->data(), count});
  while (text && count > 1 && text->size() > body_bytes_max_) {
    // What the average says, or a little less.
    count = std::clamp<std::size_t>(count * body_bytes_max_ / text->size() * 15 / 16, 1, count - 1);
    text = body({batch->data(), count});
  }
  const std::size_t samples = batch->size();
  if (!text) return done({.taken = count});
  http_->post(*loop_, request(std::move(*text)),
              [this, alive = std::weak_ptr<bool>(alive_), count, samples, done = std::move(done)](Result<int> answer) {
                if (!alive.expired()) done(answered(answer, count, samples));
              });
}

// `sent` of the batch's `samples` were in the request.
Sent PostSink::answered(const Result<int>& answer, std::size_t sent, std::size_t samples) {
  const auto outcome = answer ? outcome_of(*answer) : Sent::Outcome::again;
  if (outcome == Sent::Outcome::confirmed) {
    portion_.passed();
    delivered_.fetch_add(sent, std::memory_order_relaxed);
    set_status(true, "sending to " + url_);
    return {.taken = sent};
  }
  std::string why =
      answer ? fmt::format("{} answered {}", url_, *answer) : fmt::format("{}: {}", url_, answer.error().detail);
  if (outcome == Sent::Outcome::refused && portion_.refused(sent)) {
    set_status(true, fmt::format("{} to {} samples together: sending fewer", why, sent));
    return {.why = status().detail, .taken = 0};
  }
  if (answer && *answer < 500 && *answer != 429 && *answer != 408) why += ": check the address and what it asks for";
  set_status(outcome == Sent::Outcome::refused, why);
  if (outcome == Sent::Outcome::refused && samples > sent)
    return {.why = std::move(why), .rejected = {0}, .taken = sent};
  return {.outcome = outcome, .why = std::move(why)};
}

std::size_t read_batch_bytes(config::Map& map, std::size_t fallback) {
  const auto bytes = static_cast<std::size_t>(map.size("batch_bytes", fallback));
  if (bytes < 1'000 || bytes > 1'000'000'000) map.get("batch_bytes").problem("a request has 1KB to 1GB");
  return bytes;
}

std::string shown_url(std::string_view url) {
  const std::size_t scheme = url.find("://");
  const std::size_t host = scheme == std::string_view::npos ? 0 : scheme + 3;
  const std::size_t end = std::min(url.find_first_of("/?#", host), url.size());
  const std::size_t at = url.substr(0, end).rfind('@');
  std::string shown(url.substr(0, host));
  url.remove_prefix(at == std::string_view::npos || at < host ? host : at + 1);
  const std::size_t secret = url.find_first_of("?#");
  shown += url.substr(0, secret);
  return secret == std::string_view::npos ? shown : shown + url[secret] + "...";
}

std::string read_post_url(config::Map& map) {
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

HttpHeaders read_post_headers(config::Map& map, std::string_view content_type) {
  HttpHeaders headers;
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
  if (!typed) headers.emplace_back("content-type", content_type);
  return headers;
}

}  // namespace penstock::ingest
