#include "net/stream.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>

namespace penstock::net {
namespace {

Error would_block() { return {Errc::backpressure, ""}; }
bool is_would_block(const Error& error) { return error.code == Errc::backpressure; }

Error system_error(int code) {
  if (code == ECONNRESET || code == EPIPE) return {Errc::unavailable, "the connection was reset by the other side"};
  return {Errc::unavailable, fmt::format("the connection failed: {}", std::strerror(code))};
}

}  // namespace

Stream::Stream(rt::Loop& loop, int fd) : loop_(loop), fd_(fd), deadline_timer_(loop) {
  int one = 1;
  setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);  // fails harmlessly on other families
  if (int error = loop_.add(fd_, this); error != 0) {
    ::close(fd_);
    fd_ = -1;
  }
}

Stream::~Stream() { close(); }

void Stream::close() {
  if (fd_ < 0) return;
  loop_.remove(fd_, this);
  // Its number may soon be somebody else's socket.
  if (writer_ != nullptr && std::exchange(writer_->queued_, false)) loop_.remove_send(writer_);
  if (ssl_ != nullptr) {
    // One attempt at close_notify; a peer that does not read it learns from the FIN.
    if (SSL_is_init_finished(ssl_)) {
      if (!hung_up_) SSL_shutdown(ssl_);
      // Without it the session would be spoilt for the next connection, only because the peer left first.
      SSL_set_shutdown(ssl_, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    }
    ERR_clear_error();
    SSL_free(ssl_);
    ssl_ = nullptr;
  }
  ::close(fd_);
  fd_ = -1;
  deadline_timer_.cancel();
  fail_waiters({Errc::cancelled, "the connection was closed"});
}

void Stream::cut() {
  auto notify = std::exchange(notify_hang_up_, nullptr);
  close();
  if (notify) notify();
}

void Stream::give_up() {
  if (auto notify = std::exchange(notify_hang_up_, nullptr)) notify();
}

void Stream::shutdown_write() {
  if (fd_ < 0) return;
  if (ssl_ != nullptr) SSL_shutdown(ssl_);
  ERR_clear_error();
  ::shutdown(fd_, SHUT_WR);
}

void Stream::fail_waiters(const Error& error) {
  if (Read* reader = std::exchange(reader_, nullptr)) {
    reader->result_ = std::unexpected(error);
    loop_.defer(reader->handle_);
  }
  if (Write* writer = std::exchange(writer_, nullptr)) {
    if (std::exchange(writer->queued_, false)) loop_.remove_send(writer);
    writer->result_ = std::unexpected(error);
    loop_.defer(writer->handle_);
  }
}

void Stream::cancel_read() {
  Read* reader = std::exchange(reader_, nullptr);
  if (reader == nullptr) return;
  reader->result_ = fail(Errc::cancelled, "the wait was ended");
  loop_.defer(reader->handle_);
}

void Stream::cancel_write() {
  Write* writer = std::exchange(writer_, nullptr);
  if (writer == nullptr) return;
  if (std::exchange(writer->queued_, false)) loop_.remove_send(writer);
  writer->result_ = fail(Errc::cancelled, "the wait was ended");
  loop_.defer(writer->handle_);
}

void Stream::set_write_deadline(base::Duration patience, base::SteadyTime latest) {
  set_deadline(std::min(loop_.now() + patience, latest));
  write_patience_ = patience;
  write_latest_ = latest;
}

void Stream::set_deadline(base::SteadyTime when) {
  deadline_ = when;
  write_patience_ = base::Duration::zero();
  if (when == base::SteadyTime::max()) return;
  if (!deadline_timer_.armed() || fd_ < 0) {
    if (fd_ >= 0) deadline_timer_.arm_at(when, [this] { on_deadline(); });
    return;
  }
  // An armed timer that fires too early re-arms itself; one that would fire too late must move.
  deadline_timer_.arm_no_later(when);
}

// A deadline that passed while nobody waited meets the next who does.
void Stream::watch_deadline() {
  if (deadline_ == base::SteadyTime::max() || deadline_timer_.armed()) return;
  deadline_timer_.arm_at(deadline_, [this] { on_deadline(); });
}

void Stream::on_deadline() {
  if (deadline_ == base::SteadyTime::max()) return;
  if (loop_.now() < deadline_) {
    deadline_timer_.arm_at(deadline_, [this] { on_deadline(); });
    return;
  }
  fail_waiters({Errc::deadline_exceeded, "no answer in time"});
}

void Stream::on_ready(bool readable, bool writable, bool hang_up) {
  readable_ = readable_ || readable;
  writable_ = writable_ || writable;
  hung_up_ = hung_up_ || hang_up;
  // TLS may need to read in order to write and the other way round: any readiness retries both.
  if (reader_ != nullptr && (readable || ssl_ != nullptr)) {
    auto got = reader_->until_ == Read::Until::bytes ? try_read(reader_->buffer_) : Result<std::size_t>(0);
    if (got || !is_would_block(got.error())) {
      Read* reader = std::exchange(reader_, nullptr);
      reader->result_ = std::move(got);
      loop_.defer(reader->handle_);
    }
  }
  if (writer_ != nullptr && !writer_->queued_ && (writable || ssl_ != nullptr) && writer_->advance()) {
    loop_.defer(std::exchange(writer_, nullptr)->handle_);
  }
  if (notify_writable_ && (writable || ssl_ != nullptr)) notify_writable_();
  if ((readable || hang_up) && reader_ == nullptr && notify_readable_) notify_readable_();
  if (hang_up && notify_hang_up_) std::exchange(notify_hang_up_, nullptr)();
}

Result<std::size_t> Stream::try_read(std::span<char> buffer) {
  if (ssl_ != nullptr) {
    ERR_clear_error();
    int got = SSL_read(ssl_, buffer.data(), static_cast<int>(std::min<std::size_t>(buffer.size(), 1 << 30)));
    return tls_result(got);
  }
  while (true) {
    ssize_t got = ::recv(fd_, buffer.data(), buffer.size(), 0);
    if (got >= 0) {
      // A short read emptied the socket: the next bytes raise a new edge. A pending end of stream is sticky.
      if (static_cast<std::size_t>(got) < buffer.size() && !hung_up_) readable_ = false;
      return static_cast<std::size_t>(got);
    }
    if (errno == EINTR) continue;
    if (errno == EAGAIN) {
      readable_ = false;
      return std::unexpected(would_block());
    }
    return std::unexpected(system_error(errno));
  }
}

Result<std::size_t> Stream::peek_now(std::span<char> buffer) {
  ssize_t got = ::recv(fd_, buffer.data(), buffer.size(), MSG_PEEK);
  // What is peeked at stays announced, but the next wait is for what comes after it.
  readable_ = false;
  if (got >= 0) return static_cast<std::size_t>(got);
  return std::unexpected(errno == EAGAIN || errno == EINTR ? would_block() : system_error(errno));
}

void Stream::take_peeked(std::size_t bytes) {
  std::array<char, 4096> unwanted;
  while (bytes > 0) {
    ssize_t got = ::recv(fd_, unwanted.data(), std::min(bytes, unwanted.size()), 0);
    if (got <= 0) break;
    bytes -= static_cast<std::size_t>(got);
  }
  readable_ = true;  // there may be more behind it, which was announced already
}

bool Stream::quiet() {
  if (fd_ < 0 || hung_up_) return false;
  // Events are edges: without one since the last read that took everything, nothing came.
  if (!readable_ && (ssl_ == nullptr || SSL_pending(ssl_) == 0)) return true;
  // TLS records without data (session tickets) are taken here too.
  char byte = 0;
  auto got = try_read(std::span(&byte, 1));
  return !got && is_would_block(got.error());
}

Result<std::size_t> Stream::try_write(std::span<iovec> pieces) {
  if (ssl_ != nullptr) {
    const iovec& piece = pieces.front();
    ERR_clear_error();
    return tls_result(SSL_write(ssl_, piece.iov_base, static_cast<int>(std::min<std::size_t>(piece.iov_len, 1 << 30))));
  }
  while (true) {
    msghdr message{};
    message.msg_iov = pieces.data();
    message.msg_iovlen = pieces.size();
    ssize_t sent = ::sendmsg(fd_, &message, MSG_NOSIGNAL);
    if (sent >= 0) return static_cast<std::size_t>(sent);
    if (errno == EINTR) continue;
    if (errno == EAGAIN) {
      writable_ = false;
      return std::unexpected(would_block());
    }
    return std::unexpected(system_error(errno));
  }
}

Result<std::size_t> Stream::write_now(std::string_view bytes) {
  if (fd_ < 0) return fail(Errc::cancelled, "the connection was closed");
  iovec piece{const_cast<char*>(bytes.data()), bytes.size()};
  return try_write(std::span(&piece, 1));
}

Result<std::size_t> Stream::tls_result(int result) {
  if (result > 0) return static_cast<std::size_t>(result);
  int saved_errno = errno;
  switch (SSL_get_error(ssl_, result)) {
    case SSL_ERROR_WANT_READ: readable_ = false; return std::unexpected(would_block());
    case SSL_ERROR_WANT_WRITE: writable_ = false; return std::unexpected(would_block());
    case SSL_ERROR_ZERO_RETURN: return 0;
    case SSL_ERROR_SYSCALL:
      ERR_clear_error();
      tls_failure_ = TlsFailure::gone;
      return std::unexpected(saved_errno == 0 ? Error{Errc::unavailable, "the connection was cut without a TLS goodbye"}
                                              : system_error(saved_errno));
    default: {
      if (ERR_GET_REASON(ERR_peek_error()) == SSL_R_UNEXPECTED_EOF_WHILE_READING) {
        ERR_clear_error();
        tls_failure_ = TlsFailure::gone;
        return std::unexpected(Error{Errc::unavailable, "the connection was cut without a TLS goodbye"});
      }
      TlsProblem problem = take_tls_problem(ssl_);
      tls_failure_ = problem.failure;
      // Servers of TLS 1.3 look at a client's certificate when the handshake is over for the client.
      return fail(problem.about_our_certificate ? Errc::unavailable : Errc::protocol_error, std::move(problem.detail));
    }
  }
}

bool Stream::tls_resumed() const { return ssl_ != nullptr && SSL_session_reused(ssl_) == 1; }

TlsFacts Stream::tls_facts() const { return ssl_ == nullptr ? TlsFacts() : facts_of(ssl_); }

std::string_view Stream::alpn() const { return ssl_ == nullptr ? std::string_view() : alpn_of(ssl_); }

void Stream::drop_tls() {
  SSL_free(ssl_);
  ssl_ = nullptr;
}

rt::Task<Result<void>> Stream::start_tls_client(std::shared_ptr<TlsContext> context, std::string host,
                                                TlsSession* session) {
  tls_ = std::move(context);
  ssl_ = SSL_new(tls_->get());
  if (session != nullptr) TlsContext::resume(ssl_, *session);
  SSL_set_fd(ssl_, fd_);
  SSL_set_connect_state(ssl_);
  std::array<unsigned char, 16> address{};
  bool numeric =
      inet_pton(AF_INET, host.c_str(), address.data()) == 1 || inet_pton(AF_INET6, host.c_str(), address.data()) == 1;
  if (numeric) {
    X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl_), host.c_str());
  } else {
    SSL_set_tlsext_host_name(ssl_, host.c_str());
    SSL_set1_host(ssl_, host.c_str());
  }
  auto shaken = co_await handshake(TlsSide::client);
  co_return shaken;
}

rt::Task<Result<void>> Stream::start_tls_server(std::shared_ptr<TlsContext> context) {
  tls_ = std::move(context);
  ssl_ = SSL_new(tls_->get());
  SSL_set_fd(ssl_, fd_);
  SSL_set_accept_state(ssl_);
  auto shaken = co_await handshake(TlsSide::server);
  co_return shaken;
}

rt::Task<Result<void>> Stream::handshake(TlsSide side) {
  Result<void> done = co_await shake_hands();
  if (done) {
    count_handshake(side, tls_facts());
    co_return done;
  }
  if (done.error().code == Errc::deadline_exceeded) tls_failure_ = TlsFailure::timeout;
  if (done.error().code == Errc::cancelled) co_return done;
  count_failure(side, tls_failure_);
  // A server that cannot prove who it is, or speaks no TLS at all, cannot be reached for what is wanted of it.
  if (side == TlsSide::client && done.error().code == Errc::protocol_error) done.error().code = Errc::unavailable;
  co_return done;
}

rt::Task<Result<void>> Stream::shake_hands() {
  while (true) {
    if (fd_ < 0) co_return fail(Errc::cancelled, "the connection was closed");
    ERR_clear_error();
    auto done = tls_result(SSL_do_handshake(ssl_));
    if (done && *done == 0) {
      tls_failure_ = TlsFailure::gone;
      co_return fail(Errc::unavailable, "the other side said goodbye instead of finishing the TLS handshake");
    }
    if (done) co_return Result<void>{};
    if (!is_would_block(done.error())) co_return std::unexpected(done.error());
    Read wait(*this, {}, Read::Until::any_event);
    auto woken = co_await wait;
    if (!woken) co_return std::unexpected(woken.error());
  }
}

bool Stream::Read::await_ready() {
  if (stream_.fd_ < 0) {
    result_ = fail(Errc::cancelled, "the connection was closed");
    return true;
  }
  if (until_ == Until::any_event) return false;
  if (until_ == Until::readable) return stream_.readable_;
  // Without a reported edge a plain socket has nothing to give: waiting first saves a call that ends in EAGAIN.
  if (stream_.ssl_ == nullptr && !stream_.readable_) return false;
  auto got = stream_.try_read(buffer_);
  if (!got && is_would_block(got.error())) return false;
  result_ = std::move(got);
  return true;
}

void Stream::Read::await_suspend(std::coroutine_handle<> handle) {
  handle_ = handle;
  stream_.reader_ = this;
  stream_.watch_deadline();
}

std::size_t Stream::Write::bytes() const {
  std::size_t sum = 0;
  for (const iovec& piece : pieces_.items().subspan(first_)) sum += piece.iov_len;
  return sum;
}

bool Stream::Write::consume(std::size_t bytes) {
  auto items = std::span(pieces_.items_).first(pieces_.count_);
  while (first_ < items.size() && bytes >= items[first_].iov_len) bytes -= items[first_++].iov_len;
  if (first_ == items.size()) return true;
  if (stream_.write_patience_ > base::Duration::zero())
    stream_.deadline_ = std::min(stream_.loop_.now() + stream_.write_patience_, stream_.write_latest_);
  items[first_].iov_base = static_cast<char*>(items[first_].iov_base) + bytes;
  items[first_].iov_len -= bytes;
  return false;
}

bool Stream::Write::advance() {
  while (first_ < pieces_.count_) {
    auto sent = stream_.try_write(std::span(pieces_.items_).subspan(first_, pieces_.count_ - first_));
    if (!sent) {
      if (is_would_block(sent.error())) return false;
      result_ = std::unexpected(sent.error());
      return true;
    }
    consume(*sent);
  }
  return true;
}

// A plain socket that took all of the last write gets this one at the end of the turn, together with the others'.
bool Stream::Write::batched() const {
  return stream_.loop_.batches_sends() && stream_.ssl_ == nullptr && stream_.writable_ && first_ < pieces_.count_;
}

bool Stream::Write::await_ready() {
  if (stream_.fd_ < 0) {
    result_ = fail(Errc::cancelled, "the connection was closed");
    return true;
  }
  return !batched() && advance();
}

void Stream::Write::await_suspend(std::coroutine_handle<> handle) {
  handle_ = handle;
  stream_.writer_ = this;
  stream_.watch_deadline();
  if (!batched()) return;
  queued_ = true;
  send_fd_ = stream_.fd_;
  message_.msg_iov = pieces_.items_.data() + first_;
  message_.msg_iovlen = pieces_.count_ - first_;
  stream_.loop_.add_send(this);
}

void Stream::Write::sent(ssize_t result) {
  queued_ = false;
  bool finished = true;
  if (result >= 0) {
    finished = consume(static_cast<std::size_t>(result)) || advance();
  } else if (result == -EAGAIN) {
    stream_.writable_ = false;
    finished = false;
  } else if (result == -EINTR) {
    finished = advance();
  } else {
    result_ = std::unexpected(system_error(static_cast<int>(-result)));
  }
  if (!finished) return;
  stream_.writer_ = nullptr;
  stream_.loop_.defer(handle_);
}

}  // namespace penstock::net
