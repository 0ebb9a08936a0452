#include "http/server_connection.h"

#include "http/date.h"
#include "http/rate.h"
#include "http/read_scratch.h"
#include "obs/log.h"
#include "obs/log_limit.h"
#include "wire/chars.h"

namespace penstock::http {
namespace {

// RFC 9110 section 10.1.4.
bool takes_trailers(std::string_view te) {
  while (!te.empty()) {
    std::string_view member = te.substr(0, te.find(','));
    te.remove_prefix(std::min(member.size() + 1, te.size()));
    while (!member.empty() && wire::is_blank(member.front())) member.remove_prefix(1);
    while (!member.empty() && wire::is_blank(member.back())) member.remove_suffix(1);
    if (wire::equal_ignoring_case(member, "trailers")) return true;
  }
  return false;
}

// An idle connection keeps no more than an ordinary request needs; what is larger counts as a burden.
constexpr std::size_t kKeptBytes = 16 * 1024;
// A body nobody read is taken off the connection up to this size so that the connection can be used again.
constexpr std::uint64_t kDiscardBytesMax = 256 * 1024;
// After a refusal the client may have much under way: 16 MiB or a second of it, whichever ends first.
constexpr std::size_t kLingerBytesMax = 16U << 20;

// One line per reason and interval: who floods with one kind of failure does not hide the others.
void log_refused_handshake(const Peer& peer, net::TlsFailure failure, const Error& error) {
  // Port scanners, health checks of load balancers and impatient clients: the metric counts them.
  if (failure == net::TlsFailure::gone || error.code == Errc::cancelled) return;
  static std::array<obs::LogLimit, net::kTlsFailures> limits;
  auto held_back = limits[static_cast<std::size_t>(failure)].pass(std::chrono::steady_clock::now());
  if (!held_back) return;
  obs::log(obs::Level::warn, "TLS handshake with a client failed",
           {{"client", peer.endpoint.text()},
            {"reason", std::string(net::name_of(failure))},
            {"why", error.detail},
            {"not_shown", std::to_string(*held_back)}});
}
}  // namespace

ServerConnection::ServerConnection(Server& server, net::Stream& stream, const Peer& peer,
                                   const ListenerOptions& listener, std::string early)
    : server_(server),
      peer_(peer),
      listener_(listener),
      stream_(stream),
      parser_(wire::Http1Parser::Kind::request, server.limits_.message),
      input_(std::move(early)) {}

rt::Task<void> ServerConnection::run() {
  // A client that pipelines without a pause gets its turns like everybody else.
  constexpr int kRequestsPerTurn = 16;
  int served = 0;
  while (co_await serve_one()) {
    if (++served % kRequestsPerTurn == 0) co_await rt::Yield(loop());
  }
  stream_.close();
}

// The client hears why: by the alert that went out already, or in plain HTTP where it speaks that.
rt::Task<void> ServerConnection::refuse_handshake(Error error) {
  net::TlsFailure failure = stream_.tls_failure();
  log_refused_handshake(peer_, failure, error);
  if (failure == net::TlsFailure::gone || failure == net::TlsFailure::timeout || stream_.closed()) co_return;
  stream_.drop_tls();
  if (failure == net::TlsFailure::plain_http)
    co_await refuse(400, "this port speaks TLS: write https:// instead of http://");
  refused_status_ = 400;  // what else comes is no request
  co_await linger();
}

// Gives the parser what it takes now: the head, and as much of the body as is there. False when the request is refused.
bool ServerConnection::feed(std::string_view& bytes) {
  while (!bytes.empty() && !parser_.message_done()) {
    auto used = parser_.feed(bytes, body_);
    if (!used) {
      refused_status_ = used.error().status;
      refused_detail_ = used.error().detail;
      return false;
    }
    bytes.remove_prefix(*used);
  }
  return true;
}

// Takes what the socket has, as far as this request goes; the rest waits in input_. False when nothing was there. An
// error also when the stream ended; a refusal is no error.
Result<bool> ServerConnection::take_available() {
  if (!stream_.readable_now()) return false;
  auto scratch = read_scratch();
  auto got = stream_.read_now(scratch);
  if (!got && got.error().code == Errc::backpressure) return false;
  if (!got) return std::unexpected(got.error());
  if (*got == 0) return fail(Errc::cancelled, "the client closed the connection");
  std::string_view bytes(scratch.data(), *got);
  if (idle_) {
    idle_ = false;
    started_ = loop().now();
  }
  bytes_received_ += bytes.size();
  if (refused_status_ == 0 && input_.empty()) feed(bytes);
  input_.append(bytes);
  if (body_.capacity() + input_.capacity() > kKeptBytes && !take_room() && refused_status_ == 0) {
    body_ = {};
    input_ = {};
    hold_input(0);
    refused_status_ = 503;
    refused_detail_ = "the gateway holds as many bytes of requests as it may; try again in a moment";
  }
  return true;
}

// Tells the burden of all connections what this one holds.
void ServerConnection::hold_input(std::size_t bytes) {
  if (bytes == held_) return;
  server_.burden_->buffer(stream_.loop().index(), static_cast<std::int64_t>(bytes) - static_cast<std::int64_t>(held_));
  held_ = bytes;
}

// Large input: false when all connections together hold too much.
bool ServerConnection::take_room() {
  bool grew = body_.capacity() + input_.capacity() > held_;
  hold_input(body_.capacity() + input_.capacity());
  if (!grew || server_.burden_->has_room(0)) return true;
  server_.burden_->count_refused(stream_.loop().index(), Burden::Refused::bodies);
  return false;
}

// Waits for bytes and takes them.
rt::Task<Result<void>> ServerConnection::fill(base::SteadyTime deadline) {
  stream_.set_deadline(deadline);
  while (true) {
    auto taken = take_available();
    if (!taken) co_return std::unexpected(taken.error());
    if (*taken) co_return Result<void>{};
    auto ready = co_await stream_.readable();
    if (!ready) co_return std::unexpected(ready.error());
  }
}

void ServerConnection::start_request() {
  parser_.reset();
  if (body_.capacity() > kKeptBytes) body_ = {};
  if (input_.empty() && input_.capacity() > kKeptBytes) input_ = {};
  if (out_.capacity() > kKeptBytes) out_ = {};
  if (held_ > 0) hold_input(input_.capacity() > kKeptBytes ? input_.capacity() : 0);
  body_.clear();
  trailers_.clear();
  request_ = {};
  refused_status_ = status_ = 0;
  bytes_sent_ = 0;
  bytes_received_ = 0;
  body_waited_ = {};
  begun_ = chunked_ = bodiless_ = finished_ = continue_sent_ = piece_given_ = reading_stopped_ = false;
  idle_ = true;
}

// True with a complete head (or a refusal to answer); false when the connection is over.
rt::Task<bool> ServerConnection::read_head() {
  if (!input_.empty()) {
    // Pipelined, or the rest of what came with the request before.
    idle_ = false;
    started_ = loop().now();
    std::string_view bytes = input_;
    feed(bytes);
    input_.erase(0, input_.size() - bytes.size());
  }
  while (refused_status_ == 0 && !parser_.head_done()) {
    auto taken = take_available();
    if (taken && *taken) continue;
    stream_.set_deadline(idle_ ? loop().now() + server_.limits_.idle_timeout : started_ + server_.limits_.head_timeout);
    Result<void> waited = taken ? Result<void>{} : std::unexpected(taken.error());
    if (waited) {
      auto ready = co_await stream_.readable();
      if (ready) continue;
      waited = std::unexpected(ready.error());
    }
    if (waited.error().code != Errc::deadline_exceeded || parser_.untouched()) co_return false;
    refused_status_ = 408;
    refused_detail_ = "the request head did not arrive in time";
  }
  co_return true;
}

// Also for a head that is refused: the path decides in which dialect.
void ServerConnection::read_target() {
  const wire::Http1Head& head = parser_.head();
  request_ = {head.method, head.path, head.query, &head.fields};
  close_after_ = !head.keep_alive || peer_.spare;
}

rt::Task<bool> ServerConnection::serve_one() {
  start_request();
  if ((server_.idle_over_ || over_) && input_.empty()) co_return false;
  bool alive = co_await read_head();
  if (!alive) co_return false;
  read_target();
  if (refused_status_ == 0) {
    stream_.clear_deadline();
    co_await server_.handler_(*this);
  }
  stream_.on_hang_up({});
  notify_drain_ = {};
  if (refused_status_ != 0 && !begun_) co_await refuse(refused_status_, refused_detail_);
  // A client that left, or said that it sends no more, is not waiting for an answer.
  if (!begun_ && !client_gone()) co_await refuse(500, "the request was not answered");
  if (stream_.closed() || !finished_) co_return false;
  // A client that was not told keeps its connection when a drain began behind the head: its next request may be on its
  // way, and the answer to that tells it.
  if (!close_after_ && refused_status_ == 0 && co_await discard_body()) co_return true;
  if (refused_status_ != 0 || !parser_.message_done()) co_await linger();
  co_return false;
}

// Whether the body may be as large as its head says, or as what came already.
Result<void> ServerConnection::fits(std::uint64_t bytes_max) {
  bytes_max = std::min(bytes_max, server_.limits_.message.body_bytes_max);
  parser_.limit_body(bytes_max);
  std::uint64_t size = parser_.body_declared();
  if (size <= bytes_max) return {};
  refused_status_ = 413;
  refused_detail_ = fmt::format("the body of {} bytes is larger than the limit of {} bytes", size, bytes_max);
  return fail(Errc::out_of_range, refused_detail_);
}

rt::Task<Result<std::string_view>> ServerConnection::read_body(std::uint64_t bytes_max) {
  using Task = rt::Task<Result<std::string_view>>;
  if (auto allowed = fits(bytes_max); !allowed) return Task::ready(std::unexpected(allowed.error()));
  if (!parser_.message_done()) return read_rest(true);
  return Task::ready(std::string_view(body_));
}

rt::Task<Result<std::string_view>> ServerConnection::read_piece(std::uint64_t bytes_max) {
  using Task = rt::Task<Result<std::string_view>>;
  if (auto allowed = fits(bytes_max); !allowed) return Task::ready(std::unexpected(allowed.error()));
  if (std::exchange(piece_given_, true)) body_.clear();
  if (body_.empty() && !parser_.message_done()) return read_rest(false);
  continue_sent_ = true;  // a client whose body is here already does not wait for leave to send it
  return Task::ready(std::string_view(body_));
}

// However evenly it drips: the sum of all waiting is bounded by what came.
base::SteadyTime ServerConnection::body_deadline() {
  const ServerLimits& limits = server_.limits_;
  base::SteadyTime next = loop().now() + limits.body_timeout;
  if (limits.body_rate_min == 0) return next;
  base::Duration allowed = limits.body_timeout + time_at_rate(bytes_received_, limits.body_rate_min);
  return std::min(next, loop().now() + allowed - body_waited_);
}

// All of the body, or as much as comes next.
rt::Task<Result<std::string_view>> ServerConnection::read_rest(bool whole) {
  if (whole && !server_.burden_->has_room(parser_.body_declared())) {
    server_.burden_->count_refused(loop().index(), Burden::Refused::bodies);
    refused_status_ = 503;
    refused_detail_ = "the gateway has no room for a body of this size now; try again in a moment";
    co_return fail(Errc::unavailable, refused_detail_);
  }
  if (parser_.head().expects_continue && !continue_sent_ && body_.empty() && input_.empty()) {
    continue_sent_ = true;
    stream_.set_write_deadline(server_.limits_.write_timeout);
    auto sent = co_await stream_.write("HTTP/1.1 100 Continue\r\n\r\n");
    if (!sent) co_return std::unexpected(sent.error());
  }
  while (refused_status_ == 0 && !parser_.message_done() && (whole || body_.empty())) {
    if (reading_stopped_) co_return fail(Errc::cancelled, "nobody wants the rest of the body");
    base::SteadyTime from = loop().now();
    auto filled = co_await fill(body_deadline());
    body_waited_ += loop().now() - from;
    if (filled) continue;
    if (filled.error().code != Errc::deadline_exceeded) co_return std::unexpected(filled.error());
    refused_status_ = 408;
    refused_detail_ = "the request body did not arrive in time";
  }
  stream_.clear_deadline();
  if (refused_status_ != 0) {
    Errc code = refused_status_ == 413   ? Errc::out_of_range
                : refused_status_ == 408 ? Errc::deadline_exceeded
                : refused_status_ == 503 ? Errc::unavailable
                                         : Errc::invalid_argument;
    co_return fail(code, refused_detail_);
  }
  co_return std::string_view(body_);
}

rt::Task<bool> ServerConnection::discard_body() {
  if (parser_.message_done()) co_return true;
  if (parser_.head().expects_continue && !continue_sent_) co_return false;  // the client is not going to send it
  auto rest = co_await read_body(kDiscardBytesMax);
  co_return rest.has_value();
}

bool ServerConnection::keep_alive() const { return !close_after_ && refused_status_ == 0 && !leaving(); }

// More of the body is on its way than is worth taking only to keep the connection.
bool ServerConnection::body_left_is_large() const {
  if (parser_.message_done()) return false;
  if (parser_.head().expects_continue && !continue_sent_) return true;  // nobody knows whether it will be sent
  std::uint64_t declared = 0;
  return !parser_.content_length(declared) || declared > kDiscardBytesMax;
}

void ServerConnection::write_head(const ResponseHead& head) {
  close_after_ = close_after_ || body_left_is_large();
  begun_ = true;
  status_ = head.status();
  out_.clear();
  std::string_view connection;
  if (!keep_alive()) {
    connection = "connection: close\r\n";
    close_after_ = true;
  } else if (parser_.head().version_minor == 0) {
    connection = "connection: keep-alive\r\n";
  }
  base::append(out_, "HTTP/1.1 ", base::Digits(head.status()), " ", wire::reason_phrase(head.status()), "\r\n",
               head.lines(), "date: ", http_date(), "\r\n", connection);
}

// What goes out at once needs no coroutine; a client that is slow to take it does.
rt::Task<Result<void>> ServerConnection::send(net::Stream::Write write, bool last) {
  if (!write.await_ready()) return send_slowly(write, last);
  out_.clear();
  Result<void> sent = write.await_resume();
  finished_ = last && sent.has_value();
  return rt::Task<Result<void>>::ready(std::move(sent));
}

rt::Task<Result<void>> ServerConnection::send_slowly(net::Stream::Write write, bool last) {
  const ServerLimits& limits = server_.limits_;
  base::Duration patience = limits.write_patience(status_);
  std::size_t bytes = write.bytes();
  if (bytes <= kKeptBytes) {
    stream_.set_write_deadline(patience);
    bytes = 0;
  } else {
    base::SteadyTime latest = base::SteadyTime::max();
    if (limits.answer_rate_min > 0) latest = loop().now() + patience + time_at_rate(bytes, limits.answer_rate_min);
    stream_.set_write_deadline(patience, latest);
    server_.burden_->buffer(loop().index(), static_cast<std::int64_t>(bytes));
  }
  auto sent = co_await write;
  if (bytes > 0) server_.burden_->buffer(loop().index(), -static_cast<std::int64_t>(bytes));
  stream_.clear_deadline();
  out_.clear();
  finished_ = last && sent.has_value();
  co_return sent;
}

rt::Task<Result<void>> ServerConnection::respond(ResponseHead head, std::string_view body) {
  // An unread body would be taken for the next request: answering early closes unless the rest is small (discard_body).
  write_head(head);
  bool bodiless = head.status() == 204 || head.status() == 304;
  if (bodiless) {
    out_ += "\r\n";
  } else {
    base::append(out_, "content-length: ", base::Digits(body.size()), "\r\n\r\n");
  }
  if (bodiless || request_.method == "HEAD") body = {};
  bytes_sent_ += body.size();
  return send(stream_.write({out_, body}), true);
}

void ServerConnection::begin(ResponseHead head) {
  bodiless_ = request_.method == "HEAD" || head.status() == 204 || head.status() == 304;
  chunked_ = !bodiless_ && parser_.head().version_minor == 1;
  if (!chunked_ && !bodiless_) close_after_ = true;  // HTTP/1.0: the end of the connection is the end of the body
  write_head(head);
  out_ += chunked_ ? "transfer-encoding: chunked\r\n\r\n" : "\r\n";
}

void ServerConnection::append(std::string_view bytes) {
  if (bytes.empty() || bodiless_) return;
  bytes_sent_ += bytes.size();
  if (chunked_) {
    base::append(out_, base::Digits(bytes.size(), 16), "\r\n", bytes, "\r\n");
  } else {
    out_ += bytes;
  }
}

rt::Task<Result<void>> ServerConnection::write(std::string_view bytes) {
  // A small piece is copied, a large one is sent from where it is.
  constexpr std::size_t kCopiedBytes = 4096;
  if (bytes.size() <= kCopiedBytes || bodiless_) {
    append(bytes);
    return flush();
  }
  bytes_sent_ += bytes.size();
  if (!chunked_) return send(stream_.write({out_, bytes}), false);
  base::append(out_, base::Digits(bytes.size(), 16), "\r\n");
  return send(stream_.write({out_, bytes, "\r\n"}), false);
}

rt::Task<Result<void>> ServerConnection::flush() { return send(stream_.write(out_), false); }

rt::Task<Result<void>> ServerConnection::finish() {
  if (chunked_) base::append(out_, "0\r\n", trailers_, "\r\n");
  trailers_.clear();
  return send(stream_.write(out_), true);
}

void ServerConnection::trailer(std::string_view name, std::string_view value) {
  if (chunked_ && takes_trailers(request_.field(wire::FieldId::te))) append_field(trailers_, name, value);
}

void ServerConnection::abort() {
  begun_ = true;
  stream_.close();
}

// The handler has the connection now; as the exchange is never finished, it ends with it.
rt::Task<Result<Upgraded>> ServerConnection::upgrade(ResponseHead head) {
  if (begun_ || !can_upgrade() || !parser_.message_done() || !body_.empty())
    co_return fail(Errc::failed_precondition, "only an HTTP/1.1 request without a body can change the protocol");
  begun_ = true;
  out_.clear();
  base::append(out_, "HTTP/1.1 101 ", wire::reason_phrase(101), "\r\n", head.lines(), "date: ", http_date(),
               "\r\n\r\n");
  auto sent = co_await send(stream_.write(out_), false);
  if (!sent) co_return std::unexpected(sent.error());
  co_return Upgraded{&stream_, std::exchange(input_, {})};
}

rt::Task<void> ServerConnection::refuse(int status, std::string detail) {
  close_after_ = true;
  refused_status_ = status;
  ResponseHead head(status);
  head.add("content-type", "application/json");
  if (status == 503) head.add("retry-after", 1);
  std::string body = server_.error_body_(status, request_.path, detail);
  co_await respond(std::move(head), body);
}

// Closing with unread bytes resets the connection, and the client may lose the answer: says goodbye and takes what is
// still on its way, bounded in bytes and time.
rt::Task<void> ServerConnection::linger() {
  stream_.shutdown_write();
  base::SteadyTime deadline = loop().now() + std::chrono::seconds(1);
  std::size_t taken = input_.size();
  while (taken < kLingerBytesMax && !stream_.closed()) {
    input_.clear();
    body_.clear();
    auto filled = co_await fill(deadline);
    if (!filled) break;
    taken += input_.size() + body_.size();
  }
}

}  // namespace penstock::http
