// ClientCall's requests with bodies in pieces.
#include "http/client.h"

namespace penstock::http {

rt::Task<Result<void>> ClientCall::start(std::string_view head, std::optional<std::uint64_t> length) {
  auto opened = co_await pool_.open(origin_, total_deadline_, &cancellation_);
  if (!opened) co_return std::unexpected(opened.error());
  stream_ = std::move(*opened);
  if (cancelled()) co_return fail(Errc::cancelled, "the call was cancelled");
  chunked_ = !length;
  unsent_ = length.value_or(0);
  body_open_ = sent_ = true;
  if (H2Call* call = h2()) {
    auto begun = call->submit(head, {}, true);
    if (begun) call->on_change([this] { take_early(); });
    co_return begun;
  }
  state_->parser.reset();
  stream_->set_write_deadline(timeouts_.idle, total_deadline_);
  auto written = co_await stream_->write({head, std::string_view("\r\n")});
  stream_->set_deadline(total_deadline_);
  if (!written) co_return written;
  stream_->on_readable([this] { take_early(); });
  take_early();  // what came before anybody listened
  co_return Result<void>{};
}

// An answer while the body is still on its way: 413, 401, or a connection that closes.
void ClientCall::take_early() {
  if (early_) return;
  auto known = take_early_head();
  if (known && !*known) return;
  early_ = true;
  if (!known) early_result_ = std::unexpected(known.error());
  if (stream_.get() != nullptr) stream_->cancel_write();
  if (notify_answered_) notify_answered_();
}

// True when the head of the final answer is there.
Result<bool> ClientCall::take_early_head() {
  while (!head_done()) {
    auto taken = take_available();
    if (!taken || !*taken) return taken;
  }
  return true;
}

rt::Task<Result<void>> ClientCall::write(std::string_view piece) {
  if (early_ || piece.empty()) co_return Result<void>{};
  if (!chunked_ && piece.size() > unsent_) co_return fail(Errc::invalid_argument, "the body is longer than its length");
  unsent_ -= chunked_ ? 0 : piece.size();
  if (H2Call* call = h2()) co_return co_await write_h2(call, piece, true);
  stream_->set_write_deadline(timeouts_.idle, total_deadline_);
  std::string size = chunked_ ? fmt::format("{:x}\r\n", piece.size()) : std::string();
  std::string_view end = chunked_ ? "\r\n" : "";
  auto written = co_await stream_->write({std::string_view(size), piece, end});
  stream_->set_deadline(total_deadline_);
  // Whoever answers early may close its side at once: its answer counts, not the write that failed.
  if (!written && !stream_->closed()) take_early();
  if (early_) co_return Result<void>{};
  co_return written;
}

rt::Task<Result<void>> ClientCall::finish() {
  base::SteadyTime deadline = std::min(pool_.loop().now() + timeouts_.first_byte, total_deadline_);
  H2Call* call = h2();
  if (call == nullptr) stream_->set_deadline(deadline);
  if (!early_) {
    if (unsent_ > 0) co_return fail(Errc::invalid_argument, "the body is shorter than its length");
    Result<void> written;
    if (call != nullptr) {
      written = co_await write_h2(call, {}, false);
    } else if (chunked_) {
      written = co_await stream_->write(std::string_view("0\r\n\r\n"));
      if (!written && !stream_->closed()) take_early();
    }
    if (!written && !early_) co_return written;
    body_open_ = early_;
  }
  if (call != nullptr) {
    call->on_change({});
  } else {
    stream_->on_readable({});
  }
  if (early_) co_return early_result_;
  co_return co_await head_of_answer(deadline);
}

}  // namespace penstock::http
