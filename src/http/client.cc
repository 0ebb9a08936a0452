#include "http/client.h"

#include "http/read_scratch.h"

namespace penstock::http {

namespace {

// Upstream heads are larger than clients' (cookies, tracing); bodies are bounded by whoever reads them.
constexpr wire::Http1Limits kAnswerLimits{
    .line_bytes_max = 64 * 1024, .head_bytes_max = 128 * 1024, .body_bytes_max = UINT64_MAX};

}  // namespace

ClientCall::State::State() : parser(wire::Http1Parser::Kind::response, kAnswerLimits) {}

std::vector<std::unique_ptr<ClientCall::State>>& ClientCall::spare_states() {
  thread_local std::vector<std::unique_ptr<State>> spare;
  return spare;
}

ClientCall::ClientCall(ClientPool& pool, std::shared_ptr<const Origin> origin, ClientTimeouts timeouts,
                       base::SteadyTime deadline)
    : pool_(pool),
      origin_(std::move(origin)),
      timeouts_(timeouts),
      total_deadline_(std::min(deadline, pool.loop().now() + timeouts.total)) {
  auto& spare = spare_states();
  if (spare.empty()) {
    state_ = std::make_unique<State>();
  } else {
    state_ = std::move(spare.back());
    spare.pop_back();
  }
}

ClientCall::~ClientCall() {
  // 64 states of at most 16 KiB each: a burst of calls reuses them, and a peak or a large answer gives its memory back.
  constexpr std::size_t kKeptMax = 64;
  constexpr std::size_t kKeptBytes = 16 * 1024;
  auto& spare = spare_states();
  if (spare.size() >= kKeptMax || state_->body.capacity() > kKeptBytes) return;
  state_->body.clear();
  state_->excess = state_->taken = false;
  spare.push_back(std::move(state_));
}

void ClientCall::cancel() {
  cancellation_.cancel();
  if (H2Call* call = h2()) {
    call->cancel();
  } else if (stream_) {
    stream_->close();
  }
}

rt::Task<Result<void>> ClientCall::send(std::string_view head, net::Pieces body) {
  stream_ = pool_.take(origin_);
  while (true) {
    if (!stream_) {
      auto opened = co_await pool_.open(origin_, total_deadline_, &cancellation_);
      if (!opened) co_return std::unexpected(opened.error());
      stream_ = std::move(*opened);
      if (cancelled()) co_return fail(Errc::cancelled, "the call was cancelled");
    }
    auto answered =
        h2() != nullptr ? co_await exchange_heads_h2(h2(), head, body) : co_await exchange_heads(head, body);
    if (answered || cancelled()) co_return answered;
    if (!worth_repeating(answered.error())) co_return answered;
    stream_.reset();
  }
}

bool ClientCall::worth_repeating(const Error& error) {
  // As many connections in a row may say goodbye just when the request comes.
  constexpr int kGoodbyesMax = 3;
  bool stale = stream_.reused() && error.code == Errc::unavailable && !answering_;
  if (H2Call* call = h2()) {
    if (call->repeat() == H2Call::Repeat::elsewhere) return ++goodbyes_ <= kGoodbyesMax;
    stale = call->repeat() == H2Call::Repeat::once;
  }
  return stale && !std::exchange(replaced_, true);
}

std::pair<PooledStream, std::string> ClientCall::take_upgraded() {
  stream_->clear_deadline();
  return {std::move(stream_), std::exchange(state_->body, {})};
}

rt::Task<Result<void>> ClientCall::exchange_heads(std::string_view head, net::Pieces body) {
  wire::Http1Parser& parser = state_->parser;
  parser.reset();
  head_seen_ = false;
  interim_ = 0;
  head_only_ = head.starts_with("HEAD ");
  if (head_only_) parser.expect_no_body();
  stream_->set_write_deadline(timeouts_.idle, total_deadline_);
  sent_ = true;
  net::Pieces request(head, std::string_view("\r\n"));
  request.add(body);
  // Beyond what sockets hold, the answer may come before the request is out.
  constexpr std::size_t kLargeBytes = 256 * 1024;
  early_ = false;
  early_result_ = {};
  body_open_ = body.bytes() > kLargeBytes;
  if (body_open_) stream_->on_readable([this] { take_early(); });
  auto written = co_await stream_->write(request);
  if (body_open_) {
    stream_->on_readable({});
    if (!written && !stream_->closed()) take_early();
    if (early_) co_return early_result_;
    body_open_ = false;
  }
  if (!written) co_return written;
  stream_->set_deadline(std::min(pool_.loop().now() + timeouts_.first_byte, total_deadline_));
  while (!parser.head_done()) {
    auto taken = take_available();
    if (!taken) co_return std::unexpected(taken.error());
    if (*taken) continue;
    auto ready = co_await stream_->readable();
    if (!ready) co_return std::unexpected(ready.error());
  }
  co_return Result<void>{};
}

Result<void> ClientCall::feed(std::string_view bytes) {
  wire::Http1Parser& parser = state_->parser;
  while (!bytes.empty() && !parser.message_done()) {
    auto used = parser.feed(bytes, decoder_ ? coded_ : state_->body);
    if (!used) return fail(Errc::protocol_error, used.error().detail);
    bytes.remove_prefix(*used);
    if (parser.head_done() && upgrade_wanted_ && status() == 101) {
      state_->body = bytes;
      state_->excess = true;
      return {};
    }
    if (parser.head_done() && status() < 200) {
      if (auto passed = pass_over_interim(); !passed) return passed;
    }
    if (parser.head_done() && !std::exchange(head_seen_, true)) {
      if (auto known = start_decoding(); !known) return known;
    }
    if (decoder_) {
      if (auto decoded = decode(kDecodedBytesMax); !decoded) return decoded;
    }
  }
  state_->excess = state_->excess || !bytes.empty();
  return {};
}

// 100 Continue and other interim answers are not the answer.
Result<void> ClientCall::pass_over_interim() {
  constexpr int kInterimMax = 16;
  if (status() == 101) return fail(Errc::protocol_error, "the other side changed the protocol, which nobody asked for");
  if (++interim_ > kInterimMax) return fail(Errc::protocol_error, "interim answers without end");
  state_->parser.reset();
  if (head_only_) state_->parser.expect_no_body();
  return {};
}

// No call asks for codings; some servers use them all the same.
Result<void> ClientCall::start_decoding() {
  std::string_view value = fields().get(wire::FieldId::content_encoding);
  if (value.empty()) return {};
  auto codings = codec::parse_content_encoding(value);
  if (!codings) return fail(Errc::protocol_error, codings.error().detail);
  if (!codings->empty()) decoder_ = std::make_unique<codec::BodyDecoder>(*codings, codec::DecodeLimits{});
  return {};
}

// Until the body has that many bytes, or there is nothing left to decode.
Result<void> ClientCall::decode(std::size_t body_bytes_max) {
  std::string_view left = coded_;
  auto stopped = decoder_->feed_some(left, state_->body, body_bytes_max);
  coded_.erase(0, coded_.size() - left.size());
  undecoded_ = stopped.value_or(false);
  Result<void> decoded;
  if (!stopped) decoded = std::unexpected(stopped.error());
  if (decoded && ended()) decoded = decoder_->finish();
  if (decoded || decoded.error().code == Errc::data_loss) return decoded;
  return fail(Errc::protocol_error, decoded.error().detail);
}

// Takes what the socket has, or decodes on; false when nothing was there.
Result<bool> ClientCall::take_available() {
  if (undecoded_) {
    std::size_t bytes_max = state_->body.size() + kDecodedBytesMax;
    if (auto decoded = decode(bytes_max); !decoded) return std::unexpected(decoded.error());
    return true;
  }
  if (H2Call* call = h2()) return take_available_h2(*call);
  if (!stream_->readable_now()) return false;
  auto scratch = read_scratch();
  auto got = stream_->read_now(scratch);
  if (!got && got.error().code == Errc::backpressure) return false;
  if (!got && answering_ && got.error().code == Errc::unavailable) return fail(Errc::data_loss, got.error().detail);
  if (!got) return std::unexpected(got.error());
  if (*got == 0) {
    if (state_->parser.finish()) {
      if (auto decoded = decoder_ ? decode(kDecodedBytesMax) : Result<void>{}; !decoded)
        return std::unexpected(decoded.error());
      return true;
    }
    return fail(answering_ ? Errc::data_loss : Errc::unavailable,
                "the other side closed the connection before its answer was complete");
  }
  answering_ = true;
  if (auto fed = feed(std::string_view(scratch.data(), *got)); !fed) return std::unexpected(fed.error());
  return true;
}

std::optional<Result<std::string_view>> ClientCall::read_now() {
  if (std::exchange(state_->taken, false)) state_->body.clear();
  while (state_->body.empty() && !ended()) {
    auto taken = take_available();
    if (!taken) return std::unexpected(taken.error());
    if (!*taken) return std::nullopt;
  }
  if (message_done()) release();
  idle_until_.reset();
  state_->taken = true;
  return std::string_view(state_->body);
}

rt::Task<Result<std::string_view>> ClientCall::read() {
  auto now = read_now();
  if (now) return rt::Task<Result<std::string_view>>::ready(std::move(*now));
  return read_slowly();
}

rt::Task<Result<std::string_view>> ClientCall::read_slowly() {
  while (true) {
    auto waited = co_await wait();
    if (!waited) co_return std::unexpected(waited.error());
    if (auto now = read_now()) co_return std::move(*now);
  }
}

rt::Task<Result<void>> ClientCall::wait(base::SteadyTime quiet) {
  if (!idle_until_) idle_until_ = std::min(pool_.loop().now() + timeouts_.idle, total_deadline_);
  base::SteadyTime deadline = std::min(*idle_until_, quiet);
  Result<void> ready;
  if (H2Call* call = h2()) {
    ready = co_await call->changed(deadline, &cancellation_);
  } else {
    stream_->set_deadline(deadline);
    auto readable = co_await stream_->readable();
    if (!readable) ready = std::unexpected(readable.error());
  }
  if (!ready && ready.error().code == Errc::deadline_exceeded && quiet < *idle_until_) {
    if (h2() == nullptr) stream_->set_deadline(*idle_until_);
    co_return Result<void>{};
  }
  idle_until_.reset();
  co_return ready;
}

rt::Task<Result<std::string_view>> ClientCall::read_all(std::size_t bytes_max) {
  if (!ended()) return read_all_slowly(bytes_max);
  return rt::Task<Result<std::string_view>>::ready(whole_body(bytes_max));
}

rt::Task<Result<std::string_view>> ClientCall::read_all_slowly(std::size_t bytes_max) {
  while (!ended() && state_->body.size() <= bytes_max) {
    auto taken = take_available();
    if (!taken) co_return std::unexpected(taken.error());
    if (*taken) continue;
    auto waited = co_await wait();
    if (!waited) co_return std::unexpected(waited.error());
  }
  co_return whole_body(bytes_max);
}

Result<std::string_view> ClientCall::whole_body(std::size_t bytes_max) {
  if (state_->body.size() > bytes_max) {
    return fail(Errc::out_of_range, fmt::format("the answer is larger than the limit of {} bytes", bytes_max));
  }
  release();
  return std::string_view(state_->body);
}

// Back to the pool when the connection stands at a clean message border.
void ClientCall::release() {
  if (stream_.get() == nullptr || stream_->closed() || stream_->hung_up() || body_open_) return;
  const wire::Http1Parser& parser = state_->parser;
  if (!parser.message_done() || !parser.head().keep_alive || state_->excess) return;
  pool_.keep(std::move(stream_));
}

}  // namespace penstock::http
