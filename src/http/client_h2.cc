// ClientCall's part that speaks HTTP/2.
#include "http/client.h"

namespace penstock::http {

rt::Task<Result<void>> ClientCall::exchange_heads_h2(H2Call* call, std::string_view head, net::Pieces body) {
  head_seen_ = false;
  sent_ = true;
  auto begun = call->submit(head, body, false);
  if (!begun) co_return begun;
  std::size_t left = call->unsent() + 1;
  base::SteadyTime deadline;
  while (true) {
    auto taken = head_seen_ ? Result<bool>(true) : take_available();
    if (taken && head_seen_ && (call->sent() || call->complete())) co_return Result<void>{};
    // While the request goes out, each byte taken gives it more time; then the answer has its own.
    if (call->unsent() < left) {
      left = call->unsent();
      deadline = std::min(pool_.loop().now() + (left > 0 ? timeouts_.idle : timeouts_.first_byte), total_deadline_);
    }
    Result<void> changed;
    if (taken) changed = co_await call->changed(deadline, &cancellation_);
    if (taken && changed) continue;
    Error error = taken ? changed.error() : taken.error();
    call->cancel();  // what `body` refers to may go away now
    co_return std::unexpected(std::move(error));
  }
}

// What the stream has; false when that is nothing new.
Result<bool> ClientCall::take_available_h2(H2Call& call) {
  if (!call.head_done()) return call.error() ? Result<bool>(std::unexpected(*call.error())) : false;
  if (!std::exchange(head_seen_, true)) {
    auto known = start_decoding();
    if (!known) return std::unexpected(known.error());
    return true;
  }
  if (!call.has_body_bytes() && !call.complete()) {
    return call.error() ? Result<bool>(std::unexpected(*call.error())) : false;
  }
  call.take(decoder_ ? coded_ : state_->body);
  h2_done_ = call.complete();
  if (decoder_) {
    if (auto decoded = decode(kDecodedBytesMax); !decoded) return std::unexpected(decoded.error());
  }
  return true;
}

// Until the connection has taken the piece, or the answer is there.
rt::Task<Result<void>> ClientCall::write_h2(H2Call* call, std::string_view piece, bool more) {
  call->add(piece, more);
  std::size_t left = call->unsent();
  base::SteadyTime deadline = std::min(pool_.loop().now() + timeouts_.idle, total_deadline_);
  while (!call->sent() && !early_ && !call->error()) {
    auto changed = co_await call->changed(deadline, &cancellation_);
    if (!changed) {
      call->cancel();
      co_return changed;
    }
    if (call->unsent() < left) {
      left = call->unsent();
      deadline = std::min(pool_.loop().now() + timeouts_.idle, total_deadline_);
    }
  }
  if (early_) call->drop_body();
  co_return Result<void>{};
}

// Until the head of the answer is there, after all of the request.
rt::Task<Result<void>> ClientCall::head_of_answer(base::SteadyTime deadline) {
  while (!head_done()) {
    auto taken = take_available();
    if (!taken) co_return std::unexpected(taken.error());
    if (*taken) continue;
    if (H2Call* call = h2()) {
      auto changed = co_await call->changed(deadline, &cancellation_);
      if (!changed) co_return changed;
    } else {
      auto ready = co_await stream_->readable();
      if (!ready) co_return std::unexpected(ready.error());
    }
  }
  co_return Result<void>{};
}

}  // namespace penstock::http
