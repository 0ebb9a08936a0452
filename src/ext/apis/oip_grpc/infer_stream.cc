#include "ext/apis/oip_grpc/infer_stream.h"

#include "flow/filter.h"

namespace penstock::ext {
namespace {

namespace oip = infer::oip;

// In flight on one stream; the client's window holds the rest.
constexpr std::size_t kRequestsMax = 32;
constexpr std::size_t kBytesMax = 64U << 20;

Error exhausted() { return {Errc::resource_exhausted, "there is not enough memory for the stream"}; }

}  // namespace

rt::Task<void> InferStream::run() {
  http::Exchange& exchange = call_.exchange;
  // Triton's way to ask for a status in place of errors within the stream.
  errors_end_ = exchange.request().field("triton_grpc_error") == "true";
  call_.event.streamed = true;
  grpc_.begin();
  auto begun = co_await grpc_.grpc().flush();
  watch_client();
  exchange.on_drain([this] {
    if (!why_) why_ = Error{Errc::unavailable, "the gateway is being restarted: open the stream again"};
    call_.exchange.stop_reading();
  });
  base::SteadyTime deadline = grpc_.grpc().deadline();
  if (deadline != base::SteadyTime::max())
    deadline_timer_.arm_at(deadline, [this] { end({Errc::deadline_exceeded, "the deadline of the stream passed"}); });
  rt::TaskScope writer(exchange.loop());
  writer.spawn(write_all());
  if (!exchange.client_gone() && !exchange.draining()) co_await read_all();
  all_read_ = true;
  ready_.set();
  co_await writer.idle();
  deadline_timer_.cancel();
  exchange.on_client_gone({});
  exchange.on_drain({});
  if (exchange.client_gone()) {
    call_.event.status = 0;  // nobody heard the end
    co_return;
  }
  if (exchange.draining() && !why_)
    why_ = Error{Errc::unavailable, "the gateway is being restarted: open the stream again"};
  if (why_) {
    co_await grpc_.finish(*why_);
  } else {
    co_await grpc_.finish();
  }
}

void InferStream::watch_client() {
  auto gone = [this] { end({Errc::cancelled, "the client gave up the stream"}); };
  if (call_.exchange.client_gone()) return gone();
  call_.exchange.on_client_gone(gone);
}

// Nothing that is under way is waited for.
void InferStream::end(Error why) {
  if (!why_) why_ = std::move(why);
  stop_.request_stop();
  call_.exchange.stop_reading();
  room_.set();
}

bool InferStream::full() const { return slots_.size() >= kRequestsMax || (!slots_.empty() && bytes_ >= kBytesMax); }

rt::Task<void> InferStream::read_all() {
  try {
    co_await read_requests();
  } catch (const std::exception&) {
    end(exhausted());
    // What had not begun will not give a result.
    if (!slots_.empty() && !slots_.back()->result && !slots_.back()->begun)
      slots_.back()->result = std::unexpected(exhausted());
    ready_.set();
  }
}

rt::Task<void> InferStream::read_requests() {
  while (true) {
    while (full() && !stop_.stop_requested()) co_await room_;
    if (why_) co_return;
    auto message = co_await grpc_.grpc().read_next();
    if (why_) co_return;
    if (!message) {
      why_ = message.error();
      co_return;
    }
    if (!*message) co_return;
    call_.event.bytes_in += (*message)->size();
    if (auto still = flow::reaffirm(call_); !still) {
      why_ = still.error();
      co_return;
    }
    auto taken = co_await take(**message);
    // Whoever waited for its turn in there listened itself.
    watch_client();
    if (!taken && errors_end_) {
      why_ = taken.error();
      co_return;
    }
  }
}

// A request becomes a slot, whatever comes of it.
rt::Task<Result<void>> InferStream::take(std::string_view message) {
  slots_.push_back(std::make_unique<Slot>(call_));
  Slot& slot = *slots_.back();
  slot.call.in_force = call_.in_force;
  slot.call.key = call_.key;
  slot.call.team = call_.team;
  slot.call.forwarded = call_.forwarded;
  slot.call.event = call_.event;
  slot.bytes = message.size();
  bytes_ += message.size();
  if (auto topic = oip::peek_infer_message(message)) slot.id = topic->id;
  auto admitted = co_await admit_inference(slot.call, repository_, message, grpc_.grpc().deadline());
  if (admitted) {
    slot.inference = std::move(*admitted);
    start(slot);
    co_return Result<void>{};
  }
  slot.result = std::unexpected(admitted.error());
  ready_.set();
  co_return std::unexpected(admitted.error());
}

void InferStream::start(Slot& slot) {
  infer::Request request = std::move(slot.inference.wanted.request);
  request.stop = stop_.get_token();
  // Slots stay until they have a result.
  infer::Engine::Done done = [this, &slot](Result<infer::Response> result) {
    slot.result = std::move(result);
    ready_.set();
  };
  slot.begun = true;
  engine_.infer(call_.exchange.loop(), std::move(request), slot.inference.deadline, std::move(done));
}

void InferStream::settle(Slot& slot) {
  if (std::exchange(slot.settled, true)) return;
  slot.call.event.status = slot.result->has_value() ? 200 : 400;
  slot.call.policy->settle(slot.call);
  bytes_ -= slot.bytes;
}

rt::Task<void> InferStream::write_all() {
  while (true) {
    try {
      co_await write_answers();
      co_return;
    } catch (const std::exception&) {
      // What is under way is still heard of; nothing more is written.
      end(exhausted());
    }
  }
}

rt::Task<void> InferStream::write_answers() {
  while (true) {
    while (slots_.empty() ? !all_read_ : !slots_.front()->result) co_await ready_;
    if (slots_.empty()) co_return;
    Slot& slot = *slots_.front();
    settle(slot);
    bool ended = why_ && stop_.stop_requested();
    if (!ended && errors_end_ && !*slot.result) {
      end(run_error(slot.result->error(), slot.inference.deadline));
      ended = true;
    }
    if (!ended) {
      auto written = co_await write(slot);
      if (!written) end(written.error());
    }
    slots_.pop_front();
    room_.set();
  }
}

rt::Task<Result<void>> InferStream::write(Slot& slot) {
  Result<infer::Response>& result = *slot.result;
  if (result) {
    if (auto classified = oip::classify_outputs(slot.inference.wanted, *result, slot.inference.rows_first); !classified)
      result = std::unexpected(classified.error());
  }
  oip::Message message =
      result ? oip::encode_stream_message(slot.inference.wanted, *result)
             : oip::encode_stream_error(slot.id, run_error(result.error(), slot.inference.deadline).detail);
  if (result && call_.event.model.view() != result->model) call_.event.model = obs::intern(result->model);
  ++call_.event.events;
  std::vector<std::string_view> pieces = message.pieces();
  auto sent = co_await grpc_.grpc().write(pieces);
  // Answers that are there together go out together.
  bool more = slots_.size() > 1 && slots_[1]->result;
  if (sent && !more) sent = co_await grpc_.grpc().flush();
  co_return sent;
}

}  // namespace penstock::ext
