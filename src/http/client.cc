#include "http/client.h"

#include "net/connector.h"

namespace penstock::http {

namespace {

// Upstream heads are larger than clients' (cookies, tracing); bodies are bounded by whoever reads them.
constexpr wire::Http1Limits kAnswerLimits{
    .line_bytes_max = 64 * 1024, .head_bytes_max = 128 * 1024, .body_bytes_max = UINT64_MAX};

std::span<char> read_scratch() {
  thread_local std::array<char, 64 * 1024> scratch;
  return scratch;
}

}  // namespace

ClientCall::ClientCall(ClientPool& pool, std::shared_ptr<const Origin> origin, ClientTimeouts timeouts,
                       base::SteadyTime deadline)
    : pool_(pool),
      origin_(std::move(origin)),
      timeouts_(timeouts),
      total_deadline_(std::min(deadline, pool.loop().now() + timeouts.total)),
      parser_(wire::Http1Parser::Kind::response, kAnswerLimits) {}

ClientCall::~ClientCall() = default;

void ClientCall::cancel() {
  cancelled_ = true;
  if (stream_) stream_->close();
}

rt::Task<Result<void>> ClientCall::connect() {
  const net::Url& url = origin_->url;
  net::HostPort address{url.host, url.port};
  base::SteadyTime deadline = std::min(pool_.loop().now() + origin_->connect_timeout, total_deadline_);
  auto stream = co_await net::connect(pool_.loop(), address, deadline);
  if (!stream) co_return std::unexpected(stream.error());
  stream_ = std::move(*stream);
  if (cancelled_) co_return fail(Errc::cancelled, "the call was cancelled");
  if (origin_->tls) {
    stream_->set_deadline(deadline);
    auto shaken = co_await stream_->start_tls_client(origin_->tls, url.host);
    if (!shaken) co_return shaken;
  }
  co_return Result<void>{};
}

rt::Task<Result<void>> ClientCall::send(std::string_view head, std::string_view body) {
  stream_ = pool_.take(*origin_);
  reused_ = stream_ != nullptr;
  while (true) {
    if (!stream_) {
      auto connected = co_await connect();
      if (!connected) co_return connected;
    }
    auto answered = co_await exchange_heads(head, body);
    if (answered || cancelled_) co_return answered;
    bool stale = reused_ && answered.error().code == Errc::unavailable && parser_.untouched();
    if (!stale) co_return answered;
    stream_.reset();
    reused_ = false;
  }
}

rt::Task<Result<void>> ClientCall::exchange_heads(std::string_view head, std::string_view body) {
  parser_.reset();
  if (head.starts_with("HEAD ")) parser_.expect_no_body();
  base::SteadyTime deadline = std::min(pool_.loop().now() + timeouts_.first_byte, total_deadline_);
  stream_->set_deadline(deadline);
  sent_ = true;
  auto written = co_await stream_->write(head, "\r\n", body);
  if (!written) co_return written;
  co_return co_await receive_head(deadline);
}

rt::Task<Result<void>> ClientCall::receive_head(base::SteadyTime deadline) {
  while (!parser_.head_done()) {
    auto received = co_await receive(deadline);
    if (!received) co_return received;
    // 100 Continue and other interim answers are not the answer.
    if (parser_.head_done() && status() < 200) parser_.reset();
  }
  co_return Result<void>{};
}

rt::Task<Result<void>> ClientCall::receive(base::SteadyTime deadline) {
  if (!input_.empty()) {
    auto used = parser_.feed(input_, body_);
    if (!used) co_return fail(Errc::protocol_error, used.error().detail);
    input_.erase(0, *used);
    co_return Result<void>{};
  }
  stream_->set_deadline(deadline);
  auto scratch = read_scratch();
  Result<std::size_t> got = 0;
  while (true) {
    auto ready = co_await stream_->readable();
    if (!ready) co_return std::unexpected(ready.error());
    got = stream_->read_now(scratch);
    if (got) break;
    if (got.error().code != Errc::backpressure) co_return std::unexpected(got.error());
  }
  if (*got == 0) {
    if (parser_.finish()) co_return Result<void>{};
    co_return fail(parser_.head_done() ? Errc::data_loss : Errc::unavailable,
                   "the other side closed the connection before its answer was complete");
  }
  std::string_view bytes(scratch.data(), *got);
  auto used = parser_.feed(bytes, body_);
  if (!used) co_return fail(Errc::protocol_error, used.error().detail);
  input_ = bytes.substr(*used);
  co_return Result<void>{};
}

rt::Task<Result<std::string_view>> ClientCall::read() {
  body_.clear();
  while (true) {
    // What arrived together with the head, or with the last piece, comes first.
    while (!input_.empty() && !parser_.message_done()) {
      auto fed = co_await receive(total_deadline_);
      if (!fed) co_return std::unexpected(fed.error());
    }
    if (!body_.empty()) co_return std::string_view(body_);
    if (parser_.message_done()) {
      release();
      co_return std::string_view();
    }
    auto received = co_await receive(std::min(pool_.loop().now() + timeouts_.idle, total_deadline_));
    if (!received) co_return std::unexpected(received.error());
  }
}

rt::Task<Result<std::string>> ClientCall::read_all(std::size_t bytes_max) {
  std::string all;
  while (true) {
    auto piece = co_await read();
    if (!piece) co_return std::unexpected(piece.error());
    if (piece->empty()) co_return all;
    if (all.size() + piece->size() > bytes_max) {
      co_return fail(Errc::out_of_range, fmt::format("the answer is larger than the limit of {} bytes", bytes_max));
    }
    all += *piece;
  }
}

// Back to the pool when the connection stands at a clean message border.
void ClientCall::release() {
  if (!stream_ || stream_->closed() || stream_->hung_up() || body_open_) return;
  if (!parser_.message_done() || !parser_.head().keep_alive || !input_.empty()) return;
  pool_.keep(origin_, std::move(stream_));
}

}  // namespace penstock::http
