#include "llm/relay_answer.h"

#include <charconv>

#include "llm/report.h"
#include "llm/usage_reader.h"
#include "rt/await.h"

namespace penstock::llm {
namespace {

// An answer that says it is no longer goes out as a whole.
constexpr std::uint64_t kWholeAnswerBytesMax = 256 * 1024;
// About a megabyte.
constexpr std::uint32_t kPiecesPerTurn = 16;

void cancelled_by_client(flow::Call& call) {
  call.event.status = 499;
  call.event.error_type = obs::ErrorType::caller_cancelled;
  call.event.error.assign("the client left before the answer came");
}

// What the answer uses, read as it passes.
struct Meter {
  Meter(std::string_view content_type, const Passage& of) : reader(content_type), passage(of) {}
  UsageReader reader;
  Passage passage;
};

// Once, at the answer's end.
void bill(PassThrough& passage, const Meter* meter) {
  if (meter == nullptr) return;
  Spent spent;
  spent.usage = meter->reader.read();
  if (is_absurd(spent.usage)) spent.usage = {};
  bool pictures = meter->passage.needs.has(flow::Capability::images);
  spent.extras.images = std::max(meter->passage.images, pictures ? meter->reader.pictures() : 0);
  passage.bill(spent);
}

http::ResponseHead answer_head(flow::Call& call, http::ClientCall& upstream) {
  call.event.status = static_cast<std::uint16_t>(upstream.status());
  http::ResponseHead head(upstream.status());
  for (std::string_view name : {"content-type", "content-disposition", "cache-control"}) {
    if (std::string_view value = upstream.fields().get(name); !value.empty()) head.add(name, value);
  }
  flow::add_common_fields(call, head);
  return head;
}

rt::Task<Result<std::string_view>> next_piece(flow::Call& call, http::ClientCall& upstream) {
  Waiting waiting(call);
  co_return co_await upstream.read();
}

// The answer has a length, and no large one. A coded answer's says nothing about what it decodes to.
bool is_small(http::ClientCall& upstream) {
  if (upstream.status() == 204 || upstream.status() == 304) return true;  // no body at all
  if (!upstream.fields().get(wire::FieldId::content_encoding).empty()) return false;
  std::string_view text = upstream.fields().get("content-length");
  std::uint64_t length = 0;
  auto [end, defect] = std::from_chars(text.data(), text.data() + text.size(), length);
  return !text.empty() && defect == std::errc{} && length <= kWholeAnswerBytesMax;
}

rt::Task<void> relay_whole(flow::Call& call, PassThrough& passage, Meter* meter, Family client) {
  http::ClientCall& upstream = passage.answer();
  Result<std::string_view> body;
  {
    Waiting waiting(call);
    body = co_await upstream.read_all(kWholeAnswerBytesMax);
  }
  passage.ended(body ? nullptr : &body.error());
  if (!body) {
    bool slow = body.error().code == Errc::deadline_exceeded;
    if (meter != nullptr && (slow || call.exchange.client_gone())) passage.bill_unseen();
    co_await llm::report(call, transport_failure(passage.target(), body.error()), client);
    co_return;
  }
  if (meter != nullptr) meter->reader.feed(*body);
  bill(passage, meter);
  http::ResponseHead head = answer_head(call, upstream);
  if (meter != nullptr && call.event.cost_known) head.add_lines(cost_line(call));
  co_await call.exchange.respond(std::move(head), *body);
}

rt::Task<void> relay_pieces(flow::Call& call, PassThrough& passage, Meter* meter) {
  http::ClientCall& upstream = passage.answer();
  http::ResponseHead head = answer_head(call, upstream);
  call.event.streamed = true;
  call.exchange.begin(std::move(head));
  auto sent = co_await call.exchange.flush();
  Error broken{Errc::cancelled, "the client left before the end of the answer"};
  while (sent) {
    auto piece = co_await next_piece(call, upstream);
    if (!piece) {
      broken = piece.error();
      passage.ended(&broken);
      break;
    }
    if (call.event.events++ == 0)
      call.event.first_token_nanos = (std::chrono::steady_clock::now() - call.exchange.started()).count();
    if (piece->empty()) {
      passage.ended(nullptr);
      bill(passage, meter);
      const wire::Fields& trailers = upstream.trailers();
      for (std::size_t i = 0; i < trailers.size(); ++i)
        call.exchange.trailer(trailers.at(i).name, trailers.at(i).value);
      co_await call.exchange.finish();
      co_return;
    }
    if (meter != nullptr) meter->reader.feed(*piece);
    sent = co_await call.exchange.write(*piece);
    // Neither side need ever be slower than this core.
    if (call.event.events % kPiecesPerTurn == 0) co_await rt::Yield(call.exchange.loop());
  }
  bill(passage, meter);
  bool left = call.exchange.client_gone();
  call.event.error_type = left ? obs::ErrorType::caller_cancelled : type_of_transport(broken.code);
  call.event.error.assign(broken.detail);
  call.exchange.abort();
}

}  // namespace

rt::Task<void> refuse_body(flow::Call& call, Error error) {
  call.codings = "identity";
  if (call.exchange.client_gone()) {
    cancelled_by_client(call);
    co_return;
  }
  int status = error.code == Errc::out_of_range        ? 413
               : error.code == Errc::deadline_exceeded ? 408
               : error.code == Errc::unimplemented     ? 415
                                                       : 0;
  co_await flow::refuse(call, std::move(error), obs::ErrorType::none, status);
}

rt::Task<void> conclude(flow::Call& call, PassThrough& passage, PassThrough::Outcome outcome,
                        std::optional<Passage> charged, Family client) {
  if (outcome) {
    std::optional<Meter> meter;
    if (charged) meter.emplace(passage.answer().fields().get(wire::FieldId::content_type), *charged);
    Meter* running = meter ? &*meter : nullptr;
    if (is_small(passage.answer())) {
      co_await relay_whole(call, passage, running, client);
    } else {
      co_await relay_pieces(call, passage, running);
    }
  } else {
    bool left = call.exchange.client_gone();
    if (charged && (left || outcome.error().type == obs::ErrorType::provider_timeout)) passage.bill_unseen();
    if (left) {
      cancelled_by_client(call);
    } else {
      co_await llm::report(call, std::move(outcome.error()), client);
    }
  }
  call.exchange.on_client_gone({});
}

}  // namespace penstock::llm
