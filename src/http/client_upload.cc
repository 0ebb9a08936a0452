// ClientCall's requests with bodies in pieces.
#include "http/client.h"

namespace penstock::http {

rt::Task<Result<void>> ClientCall::start(std::string_view head, bool chunked) {
  auto connected = co_await connect();
  if (!connected) co_return connected;
  parser_.reset();
  chunked_ = chunked;
  body_open_ = sent_ = true;
  stream_->set_deadline(std::min(pool_.loop().now() + timeouts_.idle, total_deadline_));
  auto written = co_await stream_->write(head, "\r\n");
  stream_->set_deadline(total_deadline_);
  if (!written) co_return written;
  stream_->on_readable([this] { take_early(); });
  take_early();  // what came before anybody listened
  co_return Result<void>{};
}

// An answer while the body is still on its way: 413, 401, or a connection that closes.
void ClientCall::take_early() {
  if (early_) return;
  auto known = take_early_bytes();
  if (known && !*known) return;
  early_ = true;
  if (!known) early_result_ = std::unexpected(known.error());
  stream_->cancel_write();
  if (notify_answered_) notify_answered_();
}

// True when the head of the final answer is there.
Result<bool> ClientCall::take_early_bytes() {
  std::array<char, 16 * 1024> scratch;
  while (true) {
    auto got = stream_->read_now(scratch);
    if (!got && got.error().code == Errc::backpressure) return false;
    if (!got) return std::unexpected(got.error());
    if (*got == 0) return fail(Errc::unavailable, "the other side closed the connection while the body was sent");
    input_.append(scratch.data(), *got);
    while (!input_.empty() && !parser_.head_done()) {
      auto used = parser_.feed(input_, body_);
      if (!used) return fail(Errc::protocol_error, used.error().detail);
      input_.erase(0, *used);
      if (parser_.head_done() && status() < 200) parser_.reset();
    }
    if (parser_.head_done()) return true;
  }
}

rt::Task<Result<void>> ClientCall::write(std::string_view piece) {
  if (early_ || piece.empty()) co_return Result<void>{};
  stream_->set_deadline(std::min(pool_.loop().now() + timeouts_.idle, total_deadline_));
  std::string size = chunked_ ? fmt::format("{:x}\r\n", piece.size()) : std::string();
  std::string_view end = chunked_ ? "\r\n" : "";
  auto written = co_await stream_->write(size, piece, end);
  stream_->set_deadline(total_deadline_);
  // Whoever answers early may close its side at once: its answer counts, not the write that failed.
  if (!written && !stream_->closed()) take_early();
  if (early_) co_return Result<void>{};
  co_return written;
}

rt::Task<Result<void>> ClientCall::finish() {
  base::SteadyTime deadline = std::min(pool_.loop().now() + timeouts_.first_byte, total_deadline_);
  if (!early_) {
    stream_->set_deadline(deadline);
    Result<void> written;
    if (chunked_) written = co_await stream_->write("0\r\n\r\n");
    if (!written && !stream_->closed()) take_early();
    if (!written && !early_) co_return written;
    body_open_ = early_;
  }
  stream_->on_readable({});
  if (early_ && !early_result_) co_return early_result_;
  co_return co_await receive_head(deadline);
}

}  // namespace penstock::http
