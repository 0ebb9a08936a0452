// One call's stream on a shared connection.
#include "http/h2_head.h"
#include "http/h2_upstream.h"

namespace penstock::http {
namespace {

// A close that was under way when a request went out arrives within a round trip.
constexpr base::Duration kCrossingMax = std::chrono::seconds(1);

// What the reset of a stream means to its call.
Error error_of(wire::H2Error code, bool head_done) {
  using wire::H2Error;
  std::string name(wire::h2_error_name(code));
  switch (code) {
    case H2Error::refused_stream:
      return {Errc::unavailable, "the other side did not take the request (REFUSED_STREAM)"};
    case H2Error::http_1_1_required:
      return {Errc::protocol_error, "the other side wants HTTP/1.1 for this request: `http2: off` speaks that"};
    case H2Error::protocol_error:
    case H2Error::flow_control_error:
    case H2Error::settings_timeout:
    case H2Error::stream_closed:
    case H2Error::frame_size_error:
    case H2Error::compression_error:
      return {Errc::protocol_error, fmt::format("the rules of HTTP/2 were broken on the stream ({})", name)};
    default: break;
  }
  if (head_done) return {Errc::data_loss, fmt::format("the other side cut its answer short ({})", name)};
  return {Errc::unavailable, fmt::format("the other side gave the request up ({})", name)};
}

}  // namespace

H2Call::H2Call(std::shared_ptr<H2Upstream> connection, bool reused)
    : connection_(std::move(connection)), reused_(reused) {}

H2Call::~H2Call() {
  if (open_ && id_ != 0) reset();
  leave();
  std::string unread;
  take(unread);
}

Result<void> H2Call::submit(std::string_view head, const net::Pieces& body, bool more) {
  if (error_) return std::unexpected(*error_);
  std::string names;
  auto fields = h2_request_head(head, connection_->origin_->tls ? "https" : "http", names);
  if (!fields) return std::unexpected(fields.error());
  body_ = body;
  unsent_ = body.bytes();
  more_ = more;
  submitted_at_ = connection_->stream_->loop().now();
  reads_before_ = connection_->reads_;
  id_ = connection_->session_.request(*fields, more || unsent_ > 0, *this);
  if (id_ == 0) {
    give_up({Errc::unavailable, "the connection can open no more streams"});
    repeat_ = Repeat::elsewhere;
    return std::unexpected(*error_);
  }
  connection_->schedule();
  return {};
}

void H2Call::add(std::string_view piece, bool more) {
  body_ = net::Pieces(piece);
  piece_ = piece_at_ = 0;
  unsent_ = piece.size();
  more_ = more;
  if (!open_) return;
  connection_->session_.resume(id_);
  connection_->schedule();
}

void H2Call::drop_body() {
  body_ = {};
  piece_ = piece_at_ = unsent_ = 0;
}

wire::H2Data H2Call::take_data(std::span<char> room) {
  wire::H2Data taken;
  auto pieces = body_.items();
  while (piece_ < pieces.size() && taken.bytes < room.size()) {
    const iovec& piece = pieces[piece_];
    std::size_t bytes = std::min(piece.iov_len - piece_at_, room.size() - taken.bytes);
    std::memcpy(room.data() + taken.bytes, static_cast<const char*>(piece.iov_base) + piece_at_, bytes);
    taken.bytes += bytes;
    piece_at_ += bytes;
    if (piece_at_ == piece.iov_len) {
      ++piece_;
      piece_at_ = 0;
    }
  }
  unsent_ -= taken.bytes;
  taken.end = unsent_ == 0 && !more_;
  if (taken.bytes > 0 || taken.end) tell();
  return taken;
}

void H2Call::take(std::string& to) {
  std::size_t bytes = received_.size();
  if (to.empty()) {
    to.swap(received_);
  } else {
    to += received_;
  }
  received_.clear();
  if (bytes == 0 || connection_->ended()) return;
  connection_->session_.consume(id_, bytes);
  connection_->schedule();
}

rt::Task<Result<void>> H2Call::changed(base::SteadyTime deadline, rt::Cancellation* cancellation) {
  auto end = rt::Wait::End::set;
  if (!changed_) {
    rt::Wait wait(connection_->stream_->loop(), deadline, cancellation);
    waiter_ = &wait;
    end = co_await wait;
    waiter_ = nullptr;
  }
  changed_ = false;
  if (end == rt::Wait::End::deadline) co_return fail(Errc::deadline_exceeded, "no answer in time");
  if (end == rt::Wait::End::cancelled) co_return fail(Errc::cancelled, "the call was cancelled");
  co_return Result<void>{};
}

void H2Call::tell() {
  changed_ = true;
  if (waiter_ != nullptr) waiter_->set();
  if (notify_) notify_();
}

void H2Call::cancel() { give_up({Errc::cancelled, "the call was cancelled"}); }

void H2Call::give_up(Error error) {
  if (!open_ || complete_) return;
  if (id_ != 0) reset();
  error_ = std::move(error);
  leave();
  tell();
}

// The other side may stop.
void H2Call::reset() {
  wire::H2Session& session = connection_->session_;
  session.detach(id_);
  session.reset(id_, wire::H2Error::cancel);
  drop_body();
  connection_->schedule();
}

void H2Call::leave() {
  if (std::exchange(open_, false)) connection_->left(*this);
}

void H2Call::on_head(wire::H2Head& head) {
  // Interim answers are not the answer.
  constexpr int kInterimMax = 16;
  if (head.status < 200) {
    if (++interim_ > kInterimMax) give_up({Errc::protocol_error, "interim answers without end"});
    return;
  }
  if (head.too_large) {
    give_up({Errc::protocol_error, "the head of the answer is larger than the limit of 128 KiB"});
    return;
  }
  head_ = std::move(head);
  head_done_ = true;
  tell();
}

void H2Call::on_data(std::string_view bytes) {
  received_ += bytes;
  tell();
}

void H2Call::on_trailers(wire::Fields& trailers) { trailers_ = std::move(trailers); }

// An answer that came before all of the request went out: nobody wants the rest.
void H2Call::on_end() {
  complete_ = true;
  if (unsent_ > 0 || more_) {
    connection_->session_.detach(id_);
    connection_->session_.reset(id_, wire::H2Error::cancel);
    drop_body();
    leave();
  }
  tell();
}

void H2Call::on_closed(wire::H2Error code) {
  drop_body();
  if (!complete_ && !error_) {
    error_ = error_of(code, head_done_);
    if (code == wire::H2Error::refused_stream && !head_done_)
      repeat_ = connection_->said_goodbye_ ? Repeat::elsewhere : Repeat::once;
    connection_->count_reset();
  }
  leave();
  tell();
}

bool H2Call::crossed_the_close(const Error& why) const {
  return reused_ && why.code == Errc::unavailable && connection_->reads_ == reads_before_ &&
         connection_->stream_->loop().now() - submitted_at_ <= kCrossingMax;
}

void H2Call::connection_lost(const Error& why) {
  drop_body();
  open_ = false;
  if (!complete_ && !error_) {
    error_ = why;
    if (why.code != Errc::protocol_error) error_->code = head_done_ ? Errc::data_loss : Errc::unavailable;
    if (crossed_the_close(why)) repeat_ = Repeat::once;
    if (id_ == 0) repeat_ = Repeat::elsewhere;
  }
  tell();
}

}  // namespace penstock::http
