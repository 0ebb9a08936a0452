#include "http/server_connection.h"

#include <fmt/chrono.h>

#include <ctime>

namespace penstock::http {
namespace {

// 64 KiB per thread, not per connection: bytes pass through it straight into the parser.
std::span<char> read_scratch() {
  thread_local std::array<char, 64 * 1024> scratch;
  return scratch;
}

// Readable bytes promised behind a body, for parsers that read in blocks.
constexpr std::size_t kBodyPadding = 64;
// A body nobody read is taken off the connection up to this size so that the connection can be used again.
constexpr std::uint64_t kDiscardBytesMax = 256 * 1024;
// After a refusal the client may have much under way: 16 MiB or a second of it, whichever ends first.
constexpr std::size_t kLingerBytesMax = 16U << 20;

// The Date field changes once a second.
const std::string& date_line() {
  thread_local std::time_t at = 0;
  thread_local std::string line;
  std::time_t now = std::time(nullptr);
  if (now != at) {
    std::tm parts{};
    gmtime_r(&now, &parts);
    line = fmt::format("date: {:%a, %d %b %Y %H:%M:%S} GMT\r\n", parts);
    at = now;
  }
  return line;
}

}  // namespace

ServerConnection::ServerConnection(Server& server, int fd)
    : server_(server), stream_(server.loop_, fd), parser_(wire::Http1Parser::Kind::request, server.limits_.message) {}

rt::Task<void> ServerConnection::run(std::shared_ptr<net::TlsContext> tls) {
  if (tls) {
    stream_.set_deadline(std::chrono::steady_clock::now() + server_.limits_.head_timeout);
    auto shaken = co_await stream_.start_tls_server(std::move(tls));
    if (!shaken) co_return;
  }
  // A client that pipelines without a pause gets its turns like everybody else.
  constexpr int kRequestsPerTurn = 16;
  int served = 0;
  while (co_await serve_one()) {
    if (++served % kRequestsPerTurn == 0) co_await rt::Yield(loop());
  }
  stream_.close();
}

// Reads what is there into input_. An error also when the stream ended.
rt::Task<Result<void>> ServerConnection::fill(base::SteadyTime deadline) {
  stream_.set_deadline(deadline);
  while (true) {
    auto ready = co_await stream_.readable();
    if (!ready) co_return std::unexpected(ready.error());
    auto scratch = read_scratch();
    auto got = stream_.read_now(scratch);
    if (!got && got.error().code == Errc::backpressure) continue;
    if (!got) co_return std::unexpected(got.error());
    if (*got == 0) co_return fail(Errc::cancelled, "the client closed the connection");
    input_.append(scratch.data(), *got);
    co_return Result<void>{};
  }
}

void ServerConnection::start_request() {
  parser_.reset();
  // An idle connection keeps no more than an ordinary request needs.
  constexpr std::size_t kKeptBytes = 16 * 1024;
  if (body_.capacity() > kKeptBytes) body_ = {};
  if (input_.empty() && input_.capacity() > kKeptBytes) input_ = {};
  body_.clear();
  request_ = {};
  refused_status_ = 0;
  bytes_sent_ = 0;
  begun_ = chunked_ = finished_ = continue_sent_ = piece_given_ = false;
  idle_ = true;
}

// True with a complete head (or a refusal to answer); false when the connection is over.
rt::Task<bool> ServerConnection::read_head() {
  base::SteadyTime deadline = loop().now() + server_.limits_.idle_timeout;
  while (true) {
    if (!input_.empty()) {
      if (idle_) {
        idle_ = false;
        started_ = loop().now();
        deadline = started_ + server_.limits_.head_timeout;
      }
      auto used = parser_.feed(input_, body_);
      if (!used) {
        refused_status_ = used.error().status;
        refused_detail_ = used.error().detail;
        co_return true;
      }
      input_.erase(0, *used);
      if (parser_.head_done()) co_return true;
    }
    auto filled = co_await fill(deadline);
    if (filled) continue;
    if (filled.error().code == Errc::deadline_exceeded && !parser_.untouched()) {
      refused_status_ = 408;
      refused_detail_ = "the request head did not arrive in time";
      co_return true;
    }
    co_return false;
  }
}

// Also for a head that is refused: the path decides in which dialect.
void ServerConnection::read_target() {
  const wire::Http1Head& head = parser_.head();
  std::string_view target = head.target;
  if (target.starts_with("http://") || target.starts_with("https://")) {
    // Absolute form (RFC 9112 section 3.2.2): the path is what counts here.
    std::size_t slash = target.find('/', target.find("://") + 3);
    target = slash == std::string_view::npos ? std::string_view("/") : target.substr(slash);
  }
  std::size_t mark = target.find('?');
  request_ = {head.method, target.substr(0, mark),
              mark == std::string_view::npos ? std::string_view() : target.substr(mark + 1), &head.fields};
  close_after_ = !head.keep_alive;
}

rt::Task<bool> ServerConnection::serve_one() {
  start_request();
  if (server_.draining_ && input_.empty()) co_return false;
  bool alive = co_await read_head();
  if (!alive) co_return false;
  read_target();
  if (refused_status_ == 0) {
    stream_.clear_deadline();
    co_await server_.handler_(*this);
  }
  stream_.on_hang_up({});
  if (refused_status_ != 0 && !begun_) co_await refuse(refused_status_, refused_detail_);
  // A client that left, or said that it sends no more, is not waiting for an answer.
  if (!begun_ && !client_gone()) co_await refuse(500, "the request was not answered");
  if (stream_.closed() || !finished_) co_return false;
  if (keep_alive() && co_await discard_body()) co_return true;
  if (refused_status_ != 0 || !parser_.message_done()) co_await linger();
  co_return false;
}

// Whether the body may be as large as its head says.
Result<void> ServerConnection::fits(std::uint64_t bytes_max) {
  parser_.limit_body(bytes_max);
  std::uint64_t declared = 0;
  if (!parser_.content_length(declared) || declared <= bytes_max) return {};
  refused_status_ = 413;
  refused_detail_ = fmt::format("the body of {} bytes is larger than the limit of {} bytes", declared, bytes_max);
  return fail(Errc::out_of_range, refused_detail_);
}

rt::Task<Result<void>> ServerConnection::send_continue() {
  bool wanted = parser_.head().expects_continue && !continue_sent_ && input_.empty() && !parser_.message_done();
  if (!wanted) co_return Result<void>{};
  continue_sent_ = true;
  co_return co_await stream_.write("HTTP/1.1 100 Continue\r\n\r\n");
}

Result<void> ServerConnection::feed_body() {
  if (input_.empty() || parser_.message_done()) return {};
  auto used = parser_.feed(input_, body_);
  if (!used) {
    refused_status_ = used.error().status;
    refused_detail_ = used.error().detail;
    return fail(refused_status_ == 413 ? Errc::out_of_range : Errc::invalid_argument, refused_detail_);
  }
  input_.erase(0, *used);
  return {};
}

std::unexpected<Error> ServerConnection::body_failure(Error error) {
  if (error.code != Errc::deadline_exceeded) return std::unexpected(std::move(error));
  refused_status_ = 408;
  refused_detail_ = "the request body did not arrive in time";
  return fail(Errc::deadline_exceeded, refused_detail_);
}

rt::Task<Result<std::string_view>> ServerConnection::read_body(std::uint64_t bytes_max) {
  if (auto allowed = fits(bytes_max); !allowed) co_return std::unexpected(allowed.error());
  auto sent = co_await send_continue();
  if (!sent) co_return std::unexpected(sent.error());
  while (true) {
    if (auto fed = feed_body(); !fed) co_return std::unexpected(fed.error());
    if (parser_.message_done()) break;
    auto filled = co_await fill(loop().now() + server_.limits_.body_timeout);
    if (!filled) co_return body_failure(filled.error());
  }
  stream_.clear_deadline();
  body_.reserve(body_.size() + kBodyPadding);
  co_return std::string_view(body_);
}

rt::Task<Result<std::string_view>> ServerConnection::read_piece(std::uint64_t bytes_max) {
  if (auto allowed = fits(bytes_max); !allowed) co_return std::unexpected(allowed.error());
  if (std::exchange(piece_given_, true)) body_.clear();
  auto sent = co_await send_continue();
  if (!sent) co_return std::unexpected(sent.error());
  while (true) {
    if (auto fed = feed_body(); !fed) co_return std::unexpected(fed.error());
    if (!body_.empty() || parser_.message_done()) break;
    auto filled = co_await fill(loop().now() + server_.limits_.body_timeout);
    if (!filled) co_return body_failure(filled.error());
  }
  stream_.clear_deadline();
  co_return std::string_view(body_);
}

rt::Task<bool> ServerConnection::discard_body() {
  if (parser_.message_done()) co_return true;
  if (parser_.head().expects_continue && !continue_sent_) co_return false;  // the client is not going to send it
  auto rest = co_await read_body(kDiscardBytesMax);
  co_return rest.has_value();
}

bool ServerConnection::keep_alive() const { return !close_after_ && refused_status_ == 0 && !server_.draining_; }

// More of the body is on its way than is worth taking only to keep the connection.
bool ServerConnection::body_left_is_large() const {
  if (parser_.message_done()) return false;
  std::uint64_t declared = 0;
  return !parser_.content_length(declared) || declared > kDiscardBytesMax;
}

void ServerConnection::write_head(const ResponseHead& head) {
  close_after_ = close_after_ || body_left_is_large();
  out_.clear();
  fmt::format_to(std::back_inserter(out_), "HTTP/1.1 {} {}\r\n", head.status(), wire::reason_phrase(head.status()));
  out_ += head.lines();
  out_ += date_line();
  if (!keep_alive()) {
    out_ += "connection: close\r\n";
    close_after_ = true;
  } else if (parser_.head().version_minor == 0) {
    out_ += "connection: keep-alive\r\n";
  }
}

rt::Task<Result<void>> ServerConnection::respond(ResponseHead head, std::string_view body) {
  // An unread body would be taken for the next request: answering early closes unless the rest is small (discard_body).
  begun_ = true;
  write_head(head);
  bool bodiless = head.status() == 204 || head.status() == 304;
  if (!bodiless) fmt::format_to(std::back_inserter(out_), "content-length: {}\r\n", body.size());
  out_ += "\r\n";
  bool send_body = !bodiless && request_.method != "HEAD";
  if (send_body) bytes_sent_ += body.size();
  stream_.set_deadline(loop().now() + server_.limits_.write_timeout);
  auto sent = co_await stream_.write(out_, send_body ? body : std::string_view());
  stream_.clear_deadline();
  finished_ = sent.has_value();
  co_return sent;
}

rt::Task<Result<void>> ServerConnection::begin(ResponseHead head) {
  begun_ = true;
  chunked_ = parser_.head().version_minor == 1;
  if (!chunked_) close_after_ = true;  // HTTP/1.0: the end of the connection is the end of the body
  write_head(head);
  out_ += chunked_ ? "transfer-encoding: chunked\r\n\r\n" : "\r\n";
  stream_.set_deadline(loop().now() + server_.limits_.write_timeout);
  auto sent = co_await stream_.write(out_);
  co_return sent;
}

rt::Task<Result<void>> ServerConnection::write(std::string_view bytes) {
  if (bytes.empty() || request_.method == "HEAD") co_return Result<void>{};
  bytes_sent_ += bytes.size();
  stream_.set_deadline(loop().now() + server_.limits_.write_timeout);
  if (!chunked_) co_return co_await stream_.write(bytes);
  out_.clear();
  fmt::format_to(std::back_inserter(out_), "{:x}\r\n", bytes.size());
  co_return co_await stream_.write(out_, bytes, "\r\n");
}

rt::Task<Result<void>> ServerConnection::finish() {
  stream_.set_deadline(loop().now() + server_.limits_.write_timeout);
  Result<void> sent;
  if (chunked_ && request_.method != "HEAD") sent = co_await stream_.write("0\r\n\r\n");
  stream_.clear_deadline();
  finished_ = sent.has_value();
  co_return sent;
}

void ServerConnection::abort() {
  begun_ = true;
  stream_.close();
}

rt::Task<void> ServerConnection::refuse(int status, std::string detail) {
  close_after_ = true;
  refused_status_ = status;
  ResponseHead head(status);
  head.add("content-type", "application/json");
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
    auto filled = co_await fill(deadline);
    if (!filled) break;
    taken += input_.size();
  }
}

}  // namespace penstock::http
