#include "http/websocket.h"

#include "base/quantity.h"
#include "http/read_scratch.h"
#include "rt/await.h"

namespace penstock::http {
namespace {

// One side that sends without a pause gets its turns like everybody else.
constexpr int kBurstMax = 32;
constexpr std::size_t kKeptBytes = 16 * 1024;
// Of a side that breaks a rule, so much of what is still under way is taken, so that it gets to see why.
constexpr std::size_t kLingerBytesMax = 16U << 20;

bool is_message(const wire::WebSocketEvent& event) {
  return event.kind == wire::WebSocketEvent::Kind::text || event.kind == wire::WebSocketEvent::Kind::binary;
}

}  // namespace

// One write at a time, in the order of asking.
class WebSocket::Turn {
 public:
  explicit Turn(WebSocket& socket) : socket_(socket) {}
  bool await_ready() const noexcept { return !socket_.writing_; }
  void await_suspend(std::coroutine_handle<> handle) { socket_.turns_.push_back(handle); }
  void await_resume() const noexcept { socket_.writing_ = true; }

 private:
  WebSocket& socket_;
};

WebSocket::WebSocket(wire::WebSocketRole role, net::Stream& stream, std::string received,
                     std::optional<wire::DeflateAgreement> deflate, const WebSocketOptions& options)
    : stream_(stream),
      options_(options),
      reader_(role, options.message_bytes_max, deflate, options.compressed_bytes_max),
      writer_(role, deflate),
      input_(std::move(received)),
      timer_(stream.loop()),
      heard_at_(stream.loop().now()),
      message_at_(heard_at_) {
  stream_.clear_deadline();
}

WebSocket::WebSocket(wire::WebSocketRole role, PooledStream connection, std::string received,
                     std::optional<wire::DeflateAgreement> deflate, const WebSocketOptions& options)
    : WebSocket(role, *connection.operator->(), std::move(received), deflate, options) {
  owned_ = std::move(connection);
}

WebSocket::~WebSocket() = default;

WebSocket::Event WebSocket::parse() {
  std::string_view left = std::string_view(input_).substr(input_at_);
  Event event = reader_.next(left);
  input_at_ = input_.size() - left.size();
  return event;
}

std::optional<WebSocketMessage> WebSocket::message_of(const Event& event) {
  if (!event || !*event || !is_message(**event)) return std::nullopt;
  message_at_ = stream_.loop().now();
  ++received_.messages;
  received_.bytes += (*event)->data.size();
  return WebSocketMessage{(*event)->kind == wire::WebSocketEvent::Kind::text, (*event)->data};
}

rt::Task<WebSocket::Received> WebSocket::receive() {
  if (ended_) return rt::Task<Received>::ready(std::unexpected(*ended_));
  Event event = std::nullopt;
  if (!close_received_) event = parse();
  if (++burst_ < kBurstMax) {
    if (auto message = message_of(event)) return rt::Task<Received>::ready(std::move(message));
  }
  return receive_slowly(std::move(event));
}

rt::Task<WebSocket::Received> WebSocket::receive_slowly(Event event) {
  while (!close_received_) {
    if (burst_++ >= kBurstMax) {
      burst_ = 0;
      co_await rt::Yield(stream_.loop());
    }
    if (ended_) co_return std::unexpected(*ended_);
    if (!event) {
      ended_ = Error{Errc::protocol_error, event.error().why};
      co_await say_close(event.error().code, event.error().why);
      co_return std::unexpected(*ended_);
    }
    if (auto message = message_of(event)) co_return message;
    if (*event) {
      auto reacted = co_await react(**event);
      if (!reacted) co_return std::unexpected(reacted.error());
      event = parse();
      continue;
    }
    auto more = co_await read_some();
    if (!more) co_return std::unexpected(more.error());
    event = std::move(*more);
  }
  co_return std::nullopt;
}

rt::Task<Result<void>> WebSocket::react(wire::WebSocketEvent event) {
  if (event.kind == wire::WebSocketEvent::Kind::close) {
    close_received_ = true;
    close_code_ = event.code;
    close_reason_ = event.data;
    co_return co_await say_close(event.code, "");
  }
  if (event.kind != wire::WebSocketEvent::Kind::ping || close_sent_) co_return Result<void>{};
  co_await Turn(*this);
  writer_.pong(event.data, out_);
  co_return co_await write_control();
}

// The next event of what comes next, if that completes one.
rt::Task<Result<WebSocket::Event>> WebSocket::read_some() {
  while (true) {
    if (stream_.readable_now()) {
      auto scratch = read_scratch();
      auto got = stream_.read_now(scratch);
      if (got && *got > 0) {
        heard_at_ = stream_.loop().now();
        pinged_ = false;
        std::string_view bytes(scratch.data(), *got);
        Event event = reader_.next(bytes);
        if (input_.capacity() > kKeptBytes) input_ = {};
        input_ = bytes;
        input_at_ = 0;
        co_return event;
      }
      if (got || got.error().code != Errc::backpressure) {
        ended_ = Error{Errc::data_loss, "the connection ended without a close frame"};
        co_return std::unexpected(*ended_);
      }
    }
    auto waited = co_await wait();
    if (!waited) co_return std::unexpected(waited.error());
  }
}

// Until there are bytes. Pings on the way.
rt::Task<Result<void>> WebSocket::wait() {
  // Interrupted while a ping was written.
  if (ended_) co_return std::unexpected(*ended_);
  burst_ = 0;
  if (!timer_.armed()) arm(next_look());
  waiting_ = true;
  auto ready = co_await stream_.readable();
  waiting_ = false;
  if (ended_) co_return std::unexpected(*ended_);
  if (ready) co_return Result<void>{};
  if (std::exchange(ping_due_, false)) {
    pinged_ = true;
    pinged_at_ = stream_.loop().now();
    arm(next_look());
    co_await Turn(*this);
    writer_.ping("", out_);
    co_return co_await write_control();
  }
  ended_ = Error{Errc::data_loss, "the connection ended without a close frame"};
  co_return std::unexpected(*ended_);
}

base::SteadyTime WebSocket::next_look() const {
  base::SteadyTime next = pinged_ ? pinged_at_ + options_.pong_within : heard_at_ + options_.ping_after;
  if (options_.idle_timeout > base::Duration::zero()) next = std::min(next, message_at_ + options_.idle_timeout);
  return next;
}

void WebSocket::arm(base::SteadyTime when) {
  timer_.arm_at(when, [this] { watch(); });
}

// What silence means, while somebody listens.
void WebSocket::watch() {
  base::SteadyTime now = stream_.loop().now();
  if (!waiting_) return;  // the next wait arms it again
  if (pinged_ && now >= pinged_at_ + options_.pong_within) {
    return interrupt({Errc::deadline_exceeded, "the other side did not answer a ping"});
  }
  if (options_.idle_timeout > base::Duration::zero() && now >= message_at_ + options_.idle_timeout) {
    return interrupt(
        {Errc::deadline_exceeded, fmt::format("no message for {}", base::format_duration(options_.idle_timeout))});
  }
  if (!pinged_ && now >= heard_at_ + options_.ping_after) {
    ping_due_ = true;
    return stream_.cancel_read();
  }
  arm(next_look());
}

void WebSocket::interrupt(Error why) {
  if (!ended_) ended_ = std::move(why);
  if (waiting_) stream_.cancel_read();
}

Result<void> WebSocket::sendable() const {
  if (close_sent_) return fail(Errc::cancelled, "the WebSocket is closed");
  if (stream_.closed()) return fail(Errc::unavailable, "the connection ended");
  return {};
}

rt::Task<Result<void>> WebSocket::send(bool text, std::string_view data) {
  using Task = rt::Task<Result<void>>;
  if (auto able = sendable(); !able) return Task::ready(std::move(able));
  if (writing_) return send_in_turn(text, data);
  message_at_ = stream_.loop().now();
  ++sent_.messages;
  sent_.bytes += data.size();
  writing_ = true;
  writer_.message(text, data, out_);
  auto write = stream_.write(out_);
  if (!write.await_ready()) return finish_write(write);
  auto done = write.await_resume();
  end_turn();
  return Task::ready(std::move(done));
}

rt::Task<Result<void>> WebSocket::send_in_turn(bool text, std::string_view data) {
  co_await Turn(*this);
  if (auto able = sendable(); !able) {
    end_turn();
    co_return able;
  }
  writing_ = false;
  co_return co_await send(text, data);
}

rt::Task<Result<void>> WebSocket::write_control() { return finish_write(stream_.write(out_)); }

// Ends the turn that was taken before.
rt::Task<Result<void>> WebSocket::finish_write(net::Stream::Write write) {
  stream_.set_write_deadline(options_.write_timeout);
  auto written = co_await write;
  stream_.clear_deadline();
  // Half a frame is out, perhaps: nothing can follow it.
  if (!written) stream_.close();
  end_turn();
  co_return written;
}

void WebSocket::end_turn() {
  out_.clear();
  if (out_.capacity() > kKeptBytes) out_ = {};
  writing_ = false;
  if (turns_.empty()) return;
  // It is theirs already: nobody may slip in between.
  writing_ = true;
  auto next = turns_.front();
  turns_.pop_front();
  stream_.loop().defer(next);
}

rt::Task<Result<void>> WebSocket::say_close(std::uint16_t code, std::string reason) {
  if (close_sent_) co_return Result<void>{};
  co_await Turn(*this);
  if (std::exchange(close_sent_, true) || stream_.closed()) {
    end_turn();
    co_return Result<void>{};
  }
  writer_.close(code, reason, out_);
  co_return co_await write_control();
}

rt::Task<void> WebSocket::close(std::uint16_t code, std::string_view reason) {
  timer_.cancel();
  bool cut = ended_ && ended_->code == Errc::data_loss;
  if (cut || stream_.closed()) co_return;
  auto said = co_await say_close(code, std::string(reason));
  if (!said) co_return;
  stream_.set_deadline(stream_.loop().now() + options_.close_timeout);
  bool broken = ended_ && ended_->code == Errc::protocol_error;
  if (broken) stream_.shutdown_write();
  std::size_t taken = 0;
  Event event = std::nullopt;
  if (!close_received_) event = parse();
  // What is left of the conversation is of no interest, up to the other side's goodbye; nor is what comes after a rule
  // was broken, up to the end.
  while (!close_received_ && taken < kLingerBytesMax && !stream_.closed()) {
    if (event && *event) {
      if ((*event)->kind == wire::WebSocketEvent::Kind::close) {
        close_received_ = true;
        close_code_ = (*event)->code;
        close_reason_ = (*event)->data;
      }
      event = parse();
      continue;
    }
    auto scratch = read_scratch();
    auto got = stream_.readable_now() ? stream_.read_now(scratch) : Result<std::size_t>(fail(Errc::backpressure, ""));
    if (got && *got == 0) break;
    if (got) {
      taken += *got;
      if (!event) continue;
      input_.assign(scratch.data(), *got);
      input_at_ = 0;
      event = parse();
      continue;
    }
    if (got.error().code != Errc::backpressure) break;
    auto ready = co_await stream_.readable();
    if (!ready) break;
  }
  stream_.clear_deadline();
}

}  // namespace penstock::http
