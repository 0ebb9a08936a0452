#include "mock/realtime.h"

#include "http/websocket_handshake.h"
#include "json/value.h"
#include "mock/render.h"
#include "mock/text.h"
#include "rt/await.h"

namespace penstock::mock {
namespace {

// Four bytes of text per token, as everywhere in the mock.
constexpr std::int64_t kBytesPerToken = 4;

class Session {
 public:
  Session(http::Exchange& exchange, http::WebSocket& socket, const Options& options, Failure failure)
      : loop_(exchange.loop()),
        socket_(socket),
        options_(options),
        failure_(failure),
        model_(http::query_value(exchange.request().query, "model")) {}

  rt::Task<void> run() {
    bool going = co_await say(fmt::format(R"("type":"session.created","session":{})", session()));
    while (going) {
      auto message = co_await socket_.receive();
      if (!message) {
        co_await socket_.close(wire::close_code::kGoingAway, message.error().detail);
        co_return;
      }
      if (!*message) co_return;
      std::string text((*message)->data);
      going = co_await answer(text);
    }
    if (failure_.kind == Failure::Kind::cut) socket_.cut();
  }

 private:
  std::string session() const {
    std::string object = R"({"id":"sess_mock","object":"realtime.session","type":"realtime","model":)";
    json::append_quoted(object, model_);
    return object + "}";
  }

  // One event, numbered.
  rt::Task<bool> say(std::string members) {
    std::string event = fmt::format(R"({{"event_id":"event_{}",{}}})", ++events_, members);
    auto sent = co_await socket_.send(true, event);
    co_return sent.has_value();
  }

  rt::Task<bool> answer(std::string text) {
    auto event = json::parse(text);
    std::string type(event ? json::string_or(*event, "type", "") : "");
    if (type == "session.update") {
      co_return co_await say(fmt::format(R"("type":"session.updated","session":{})", session()));
    }
    if (type == "conversation.item.create") {
      const json::Value* item = json::find(*event, "item");
      std::string written = item == nullptr ? "{}" : json::dump(*item);
      input_tokens_ += static_cast<std::int64_t>(written.size()) / kBytesPerToken;
      co_return co_await say(fmt::format(R"("type":"conversation.item.created","item":{})", written));
    }
    if (type == "response.create") {
      const json::Value* asked = json::find(*event, "response");
      std::int64_t most =
          asked == nullptr ? options_.tokens : json::int_or(*asked, "max_output_tokens", options_.tokens);
      co_return co_await respond(std::clamp<std::int64_t>(most, 1, options_.tokens));
    }
    std::string error = R"("type":"error","error":{"type":"invalid_request_error","code":"invalid_event","message":)";
    json::append_quoted(error, "the mock does not know the event type '" + type + "'");
    co_return co_await say(error + R"(,"param":null,"event_id":null})");
  }

  rt::Task<bool> respond(std::int64_t tokens) {
    std::string id = fmt::format("resp_{}", ++responses_);
    auto head = fmt::format(R"("object":"realtime.response","id":"{}")", id);
    bool sent = co_await say(
        fmt::format(R"("type":"response.created","response":{{{},"status":"in_progress","output":[]}})", head));
    Text said = words(options_.seed + responses_, static_cast<std::size_t>(tokens));
    auto place =
        fmt::format(R"("response_id":"{}","item_id":"item_{}","output_index":0,"content_index":0)", id, responses_);
    for (std::size_t i = 0; sent && i < said.ends.size(); ++i) {
      if (failure_.kind == Failure::Kind::cut && i >= said.ends.size() / 2) co_return false;
      base::Duration pause = i == 0 ? options_.first_token : options_.per_token;
      if (pause > base::Duration::zero()) co_await rt::Sleep(loop_, pause);
      std::string delta = fmt::format(R"("type":"response.output_text.delta",{},"delta":)", place);
      json::append_quoted(delta, said.piece(i));
      sent = co_await say(std::move(delta));
    }
    std::string text;
    json::append_quoted(text, said.text);
    if (sent) sent = co_await say(fmt::format(R"("type":"response.output_text.done",{},"text":{})", place, text));
    if (!sent) co_return false;
    auto usage = fmt::format(R"({{"total_tokens":{},"input_tokens":{},"output_tokens":{},)"
                             R"("input_token_details":{{"text_tokens":{},"audio_tokens":0,"cached_tokens":{}}},)"
                             R"("output_token_details":{{"text_tokens":{},"audio_tokens":0}}}})",
                             input_tokens_ + tokens, input_tokens_, tokens, input_tokens_, cached_tokens_, tokens);
    cached_tokens_ = input_tokens_;
    input_tokens_ += tokens;  // the answer is part of the next question
    auto item = fmt::format(R"({{"id":"item_{}","type":"message","role":"assistant","status":"completed",)"
                            R"("content":[{{"type":"output_text","text":{}}}]}})",
                            responses_, text);
    co_return co_await say(
        fmt::format(R"("type":"response.done","response":{{{},"status":"completed","output":[{}],"usage":{}}})", head,
                    item, usage));
  }

  rt::Loop& loop_;
  http::WebSocket& socket_;
  const Options& options_;
  const Failure failure_;
  const std::string model_;
  std::uint64_t events_ = 0;
  std::uint64_t responses_ = 0;
  std::int64_t input_tokens_ = 3;
  std::int64_t cached_tokens_ = 0;
};

}  // namespace

rt::Task<void> serve_realtime(http::Exchange& exchange, const Options& options, Failure failure) {
  const std::string kAnywhere = "*";
  auto offer = http::read_websocket_offer(exchange, std::span(&kAnywhere, 1));
  if (!offer) {
    http::ResponseHead head(offer.error().status);
    head.add("content-type", "application/json");
    std::string body = error_body(offer.error().error.detail, "invalid_request_error", {}, {});
    co_await exchange.respond(std::move(head), body);
    co_return;
  }
  http::WebSocketOptions as;
  std::string protocol(offer->offers("realtime") ? "realtime" : "");
  auto socket =
      co_await http::accept_websocket(exchange, std::move(*offer), std::move(protocol), http::ResponseHead(101), as);
  if (!socket) co_return;
  exchange.on_drain([&] { (*socket)->interrupt({Errc::unavailable, "the mock ends"}); });
  Session session(exchange, **socket, options, failure);
  co_await session.run();
  exchange.on_drain({});
}

}  // namespace penstock::mock
