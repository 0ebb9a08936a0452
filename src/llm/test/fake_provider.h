// A provider with a protocol a test can write by hand: the body goes out as it came, "usage 3 4 1" anywhere in an
// answer or event is its usage, an event "end" is the last one, "error ..." is an error, "ours ..." is not the
// client's.
#pragma once

#include <cstdio>

#include "llm/provider.h"

namespace penstock::llm {

class FakeProvider : public Provider {
 public:
  explicit FakeProvider(net::Url url, base::Duration connect_timeout = std::chrono::seconds(1)) {
    http::Origin origin;
    origin.url = std::move(url);
    origin.connect_timeout = connect_timeout;
    origin_ = std::make_shared<const http::Origin>(std::move(origin));
  }
  explicit FakeProvider(std::shared_ptr<const http::Origin> origin) : origin_(std::move(origin)) {}
  explicit FakeProvider(http::ClientTimeouts timeouts) : FakeProvider(*net::parse_http_url("http://127.0.0.1:1")) {
    timeouts_ = timeouts;
  }

  const std::shared_ptr<const http::Origin>& origin() const override { return origin_; }
  http::ClientTimeouts timeouts() const override { return timeouts_; }
  Result<UpstreamRequest> encode(const Request& request, std::string_view model, std::string_view) const override {
    if (model == "unspeakable") return fail(Errc::invalid_argument, "this provider cannot say that");
    UpstreamRequest upstream;
    *upstream.head = fmt::format("POST {}/{} HTTP/1.1\r\nhost: x\r\ncontent-length: {}\r\n", origin_->url.path, model,
                                 request.body.size());
    upstream.body.add(request.body);
    return upstream;
  }
  bool is_opening(const Request&, const wire::SseEvent& event) const override { return event.data == "opening"; }
  Family family() const override { return Family::openai; }
  bool speaks(Operation) const override { return true; }
  Result<UpstreamRequest> encode(const chat::Request&, std::string_view, std::string_view,
                                 chat::Dropped&) const override {
    return fail(Errc::unimplemented, "this provider speaks only its own dialect");
  }
  Result<chat::Answer> read_chat(const chat::Request&, std::string_view) const override { return chat::Answer{}; }
  std::unique_ptr<chat::StreamReader> stream_reader(const chat::Request&) const override { return nullptr; }
  chat::ProviderError read_error(int status, std::string_view body) const override {
    return {.status = status, .message = std::string(body)};
  }
  std::string probe_head() const override { return "GET / HTTP/1.1\r\nhost: x\r\n"; }
  Result<Usage> read_answer(Operation, std::string_view body) const override {
    if (body.starts_with("garbage")) return fail(Errc::invalid_argument, "garbage");
    return usage_in(body);
  }
  EventVerdict read_event(const Request&, const wire::SseEvent& event, Usage& usage) const override {
    if (Usage found = usage_in(event.data); found.known) usage = found;
    return {.forward = !event.data.starts_with("ours"),
            .error = event.data.starts_with("error"),
            .last = event.data == "end"};
  }

 private:
  static Usage usage_in(std::string_view text) {
    Usage usage;
    std::size_t at = text.find("usage ");
    if (at == std::string_view::npos) return usage;
    std::string copy(text.substr(at));
    long input = 0;
    long output = 0;
    long cached = 0;
    usage.known = std::sscanf(copy.c_str(), "usage %ld %ld %ld", &input, &output, &cached) == 3;
    usage.input = input;
    usage.output = output;
    usage.cached = cached;
    return usage;
  }
  std::shared_ptr<const http::Origin> origin_;
  http::ClientTimeouts timeouts_;
};

}  // namespace penstock::llm
