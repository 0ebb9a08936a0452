#include "flow/websocket.h"

#include <map>
#include <mutex>

#include "flow/call.h"
#include "flow/filter.h"

namespace penstock::flow {

// Of one API. Written by all cores, once or twice per message.
struct WebSocketFigures {
  // 1000 to 1015 one by one, what applications define, everything else.
  static constexpr std::size_t kCodes = 18;
  struct Direction {
    std::atomic<std::uint64_t> messages{0};
    std::atomic<std::uint64_t> bytes{0};
    std::atomic<std::uint64_t> audio_tokens{0};
  };
  std::atomic<std::int64_t> open{0};
  std::atomic<std::uint64_t> opened{0};
  std::atomic<std::uint64_t> millis{0};
  Direction in;
  Direction out;
  std::array<std::atomic<std::uint64_t>, kCodes> closes{};

  static std::size_t index_of(std::uint16_t code) {
    if (code >= 1000 && code <= 1015) return code - 1000U;
    return code >= 3000 && code <= 4999 ? 16 : 17;
  }
  static std::string code_label(std::size_t index) {
    return index < 16 ? std::to_string(1000 + index) : index == 16 ? "3000-4999" : "other";
  }
};

namespace {

struct Registry {
  std::mutex mutex;  // guards the map; the figures in it stay where they are
  std::map<std::string, WebSocketFigures, std::less<>> by_api;
};

Registry& registry() {
  static Registry instance;
  return instance;
}

WebSocketFigures& figures_of(std::string_view api) {
  std::lock_guard lock(registry().mutex);
  return registry().by_api[std::string(api)];
}

// Callers without keys count together.
std::shared_ptr<std::atomic<std::int32_t>> open_of(const Call& call) {
  static const auto kKeyless = std::make_shared<std::atomic<std::int32_t>>(0);
  if (call.key == nullptr) return kKeyless;
  return {call.policy->shared_keys(), &call.key->websockets()};
}

void add(std::atomic<std::uint64_t>& counter, std::uint64_t by) {
  if (by > 0) counter.fetch_add(by, std::memory_order_relaxed);
}

void add(WebSocketFigures::Direction& figures, http::WebSocket::Traffic& counted, const http::WebSocket::Traffic& now) {
  add(figures.messages, now.messages - counted.messages);
  add(figures.bytes, now.bytes - counted.bytes);
  counted = now;
}

}  // namespace

rt::Task<std::optional<http::WebSocketOffer>> read_websocket_offer(Call& call) {
  auto offer = http::read_websocket_offer(call.exchange, call.policy->websocket().origins);
  if (offer) co_return std::move(*offer);
  co_await refuse(call, std::move(offer.error().error), obs::ErrorType::none, offer.error().status);
  co_return std::nullopt;
}

Result<WebSocketPlace> WebSocketPlace::take(Call& call) {
  std::int64_t most = call.policy->websocket().per_key;
  auto open = open_of(call);
  if (open->fetch_add(1, std::memory_order_relaxed) < most) return WebSocketPlace(std::move(open));
  open->fetch_sub(1, std::memory_order_relaxed);
  return fail(Errc::resource_exhausted,
              fmt::format("{} WebSocket connections are open already, which is the limit for one key; close some, or "
                          "raise `websocket: {{ per_key }}`",
                          most));
}

WebSocketPlace::WebSocketPlace(WebSocketPlace&& other) noexcept : open_(std::move(other.open_)) {}

WebSocketPlace::~WebSocketPlace() {
  if (open_) open_->fetch_sub(1, std::memory_order_relaxed);
}

rt::Task<Result<std::unique_ptr<WebSocketSession>>> WebSocketSession::accept(Call& call, http::WebSocketOffer offer,
                                                                             std::string protocol) {
  http::ResponseHead head(101);
  add_common_fields(call, head);
  call.event.status = 101;
  call.event.streamed = true;
  auto socket = co_await http::accept_websocket(call.exchange, std::move(offer), std::move(protocol), std::move(head),
                                                call.policy->websocket().options);
  if (!socket) {
    call.event.status = 499;
    call.event.error_type = obs::ErrorType::caller_cancelled;
    call.event.error.assign(socket.error().detail);
    co_return std::unexpected(socket.error());
  }
  co_return std::unique_ptr<WebSocketSession>(new WebSocketSession(call, std::move(*socket)));
}

WebSocketSession::WebSocketSession(Call& call, std::unique_ptr<http::WebSocket> socket)
    : call_(call),
      socket_(std::move(socket)),
      figures_(figures_of(call.event.api)),
      since_(std::chrono::steady_clock::now()) {
  figures_.open.fetch_add(1, std::memory_order_relaxed);
  figures_.opened.fetch_add(1, std::memory_order_relaxed);
  auto stop = [this] { socket_->interrupt({Errc::unavailable, "the gateway is shutting down"}); };
  call_.exchange.on_drain(stop);
  if (call_.exchange.draining()) stop();
}

WebSocketSession::~WebSocketSession() {
  call_.exchange.on_drain({});
  tally();
  auto stood = std::chrono::steady_clock::now() - since_;
  call_.upstream_wait += stood;  // whatever it was spent with, it is nothing a caller waits for
  call_.event.bytes_in += in_.bytes;
  call_.event.bytes_out += out_.bytes;
  call_.event.events = static_cast<std::uint32_t>(out_.messages);
  auto millis = std::chrono::duration_cast<std::chrono::milliseconds>(stood).count();
  add(figures_.millis, static_cast<std::uint64_t>(millis));
  figures_.open.fetch_sub(1, std::memory_order_relaxed);
  add(figures_.closes[WebSocketFigures::index_of(code_)], 1);
}

void WebSocketSession::tally() {
  add(figures_.in, in_, socket_->received());
  add(figures_.out, out_, socket_->sent());
}

void WebSocketSession::count_audio(std::int64_t input_tokens, std::int64_t output_tokens) {
  add(figures_.in.audio_tokens, static_cast<std::uint64_t>(input_tokens));
  add(figures_.out.audio_tokens, static_cast<std::uint64_t>(output_tokens));
}

rt::Task<void> WebSocketSession::close(std::uint16_t code, std::string reason) {
  // The side that spoke first names the reason.
  bool theirs = socket_->close_code() != wire::close_code::kCut;
  code_ = theirs ? socket_->close_code() : code;
  co_await socket_->close(code, reason);
}

void collect_websockets(obs::MetricWriter& writer) {
  std::lock_guard lock(registry().mutex);
  const auto& all = registry().by_api;
  auto family = [&](std::string_view name, std::string_view type, std::string_view help, auto value) {
    writer.family(name, type, help);
    for (const auto& [api, figures] : all) writer.sample(name, {{"api", api}}, static_cast<double>(value(figures)));
  };
  auto both = [&](std::string_view name, std::string_view help, auto value) {
    writer.family(name, "counter", help);
    for (const auto& [api, figures] : all) {
      writer.sample(name, {{"api", api}, {"direction", "in"}}, static_cast<double>(value(figures.in)));
      writer.sample(name, {{"api", api}, {"direction", "out"}}, static_cast<double>(value(figures.out)));
    }
  };
  family("penstock_websocket_connections", "gauge", "WebSocket connections open now.",
         [](const WebSocketFigures& f) { return f.open.load(); });
  family("penstock_websocket_connections_total", "counter", "WebSocket connections opened.",
         [](const WebSocketFigures& f) { return f.opened.load(); });
  family("penstock_websocket_seconds_total", "counter", "How long WebSocket connections that ended had stood.",
         [](const WebSocketFigures& f) { return static_cast<double>(f.millis.load()) / 1000; });
  both("penstock_websocket_messages_total", "Messages from (in) and to (out) callers.",
       [](const WebSocketFigures::Direction& d) { return d.messages.load(); });
  both("penstock_websocket_bytes_total", "Bytes of these messages, as their senders wrote them.",
       [](const WebSocketFigures::Direction& d) { return d.bytes.load(); });
  both("penstock_websocket_audio_tokens_total", "Tokens of sound that providers reported.",
       [](const WebSocketFigures::Direction& d) { return d.audio_tokens.load(); });
  constexpr std::string_view kCloses = "penstock_websocket_closes_total";
  writer.family(kCloses, "counter", "WebSocket connections that ended, by the code of whoever closed first.");
  for (const auto& [api, figures] : all) {
    for (std::size_t i = 0; i < figures.closes.size(); ++i) {
      std::uint64_t count = figures.closes[i].load();
      if (count > 0)
        writer.sample(kCloses, {{"api", api}, {"code", WebSocketFigures::code_label(i)}}, static_cast<double>(count));
    }
  }
}

}  // namespace penstock::flow
