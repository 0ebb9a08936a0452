#include "http/grpc_exchange.h"

#include "http/conversation.h"

namespace penstock::http {
namespace {

using codec::Coding;

// A piece below this is copied to the others around it, which is cheaper than a write of its own.
constexpr std::size_t kCopiedBytes = 4096;
// Below this compression costs more than it saves.
constexpr std::size_t kCompressedBytesMin = 1024;

std::size_t size_of(std::span<const std::string_view> pieces) {
  std::size_t bytes = 0;
  for (std::string_view piece : pieces) bytes += piece.size();
  return bytes;
}

// A body that is too large is a used up resource in gRPC's words.
Error in_grpc_words(Error error) {
  if (error.code == Errc::out_of_range) error.code = Errc::resource_exhausted;
  return error;
}

}  // namespace

std::optional<GrpcExchange::Unfit> GrpcExchange::unfit() const {
  if (exchange_.can_upgrade()) {
    return Unfit{505, "gRPC needs HTTP/2: use a listener with `h2c: true`, or with TLS, and a gRPC client"};
  }
  if (!is_grpc(exchange_.request().field(wire::FieldId::content_type)))
    return Unfit{415, "this path speaks gRPC: send content-type application/grpc, with messages in protobuf"};
  return std::nullopt;
}

Result<void> GrpcExchange::open() {
  auto head = read_grpc_head(exchange_.request());
  if (!head) return std::unexpected(head.error());
  head_ = *head;
  return {};
}

base::SteadyTime GrpcExchange::deadline() const {
  return head_.timeout ? exchange_.started() + *head_.timeout : base::SteadyTime::max();
}

// --- messages in ---

rt::Task<Result<std::string_view>> GrpcExchange::read_one(std::uint64_t bytes_max) {
  bytes_max = std::min(bytes_max, bytes_max_);
  auto body = co_await exchange_.read_body(bytes_max + kGrpcPrefixBytes);
  if (!body) co_return std::unexpected(in_grpc_words(body.error()));
  all_read_ = true;
  auto frame = only_grpc_frame(*body, bytes_max);
  if (!frame) co_return std::unexpected(frame.error());
  if (!frame->compressed) co_return frame->bytes;
  auto message = co_await decoded(*frame, bytes_max);
  co_return message;
}

rt::Task<Result<std::optional<std::string_view>>> GrpcExchange::read_next() {
  while (true) {
    auto frame = frames_.next();
    if (!frame) co_return std::unexpected(frame.error());
    if (*frame) {
      waited_ = {};
      if (!(*frame)->compressed) co_return (*frame)->bytes;
      auto message = co_await decoded(**frame, bytes_max_);
      if (!message) co_return std::unexpected(message.error());
      co_return *message;
    }
    auto piece = co_await read_piece();
    if (!piece) co_return std::unexpected(in_grpc_words(piece.error()));
    if (piece->empty()) break;
    frames_.feed(*piece);
  }
  all_read_ = true;
  if (!frames_.complete()) co_return fail(Errc::invalid_argument, "the last message is cut short");
  co_return std::nullopt;
}

// What has come of a message is held here, so its rest cannot take for ever.
rt::Task<Result<std::string_view>> GrpcExchange::read_piece() {
  rt::Loop& loop = exchange_.loop();
  rt::Timer timer(loop);
  bool late = false;
  const bool begun = !frames_.complete();
  base::SteadyTime from = loop.now();
  if (begun) {
    base::Duration left = message_time_ + std::chrono::seconds(frames_.held() / kMessageRateMin) - waited_;
    timer.arm_at(from + left, [this, &late] {
      late = true;
      exchange_.stop_reading();
    });
  }
  auto piece = co_await exchange_.read_piece(kConversation);
  if (begun) waited_ += loop.now() - from;
  if (late && !piece) co_return fail(Errc::deadline_exceeded, "the rest of a message did not come in time");
  co_return piece;
}

rt::Task<Result<std::string_view>> GrpcExchange::decoded(GrpcFrame frame, std::uint64_t bytes_max) {
  if (head_.encoding == Coding::identity)
    co_return fail(Errc::internal, "a message is marked as compressed, but grpc-encoding does not say how");
  std::vector<Coding> codings{head_.encoding};
  auto bytes = co_await codec_.decode(exchange_.loop(), std::move(codings), frame.bytes, bytes_max);
  if (!bytes) {
    Error error = in_grpc_words(bytes.error());
    if (error.code == Errc::data_loss) error.code = Errc::invalid_argument;
    co_return std::unexpected(std::move(error));
  }
  decoded_ = std::move(*bytes);
  co_return std::string_view(decoded_);
}

// --- messages out ---

ResponseHead GrpcExchange::head() const {
  ResponseHead head(200);
  head.add_lines("content-type: application/grpc\r\ngrpc-accept-encoding: ", kGrpcAccepted, "\r\n");
  if (head_.answer_encoding != Coding::identity)
    head.add_lines("grpc-encoding: ", codec::name_of(head_.answer_encoding), "\r\n");
  return head;
}

rt::Task<Result<void>> GrpcExchange::write(std::span<const std::string_view> pieces) {
  std::size_t bytes = size_of(pieces);
  if (bytes > bytes_max_) {
    co_return fail(Errc::resource_exhausted,
                   fmt::format("the answer of {} bytes is larger than the limit of {} bytes", bytes, bytes_max_));
  }
  if (head_.answer_encoding != Coding::identity && bytes >= kCompressedBytesMin) {
    auto sent = co_await write_compressed(pieces);
    co_return sent;
  }
  auto prefix = grpc_prefix(false, bytes);
  exchange_.append({prefix.data(), prefix.size()});
  for (std::string_view piece : pieces) {
    if (piece.size() <= kCopiedBytes) {
      exchange_.append(piece);
    } else if (auto sent = co_await exchange_.write(piece); !sent) {
      co_return sent;
    }
  }
  co_return Result<void>{};
}

rt::Task<Result<void>> GrpcExchange::write_compressed(std::span<const std::string_view> pieces) {
  std::string plain;
  plain.reserve(size_of(pieces));
  for (std::string_view piece : pieces) plain += piece;
  auto coded = co_await codec_.encode(exchange_.loop(), head_.answer_encoding, plain);
  // Threads that are busy, or bytes that do not shrink, are no reason to fail: the message goes as it is.
  bool smaller = coded && coded->size() < plain.size();
  std::string_view message = smaller ? *coded : plain;
  auto prefix = grpc_prefix(smaller, message.size());
  exchange_.append({prefix.data(), prefix.size()});
  auto sent = co_await exchange_.write(message);
  co_return sent;
}

rt::Task<Result<void>> GrpcExchange::finish(GrpcStatus status, std::string_view message) {
  exchange_.trailer("grpc-status", base::Digits(static_cast<int>(status)));
  if (!message.empty()) exchange_.trailer("grpc-message", grpc_message(message));
  return exchange_.finish();
}

rt::Task<Result<void>> GrpcExchange::refuse(ResponseHead head, GrpcStatus status, std::string_view message) {
  if (!all_read_) {
    exchange_.begin(std::move(head));
    return finish(status, message);
  }
  head.add("grpc-status", static_cast<std::int64_t>(status)).add("grpc-message", grpc_message(message));
  return exchange_.respond(std::move(head), {});
}

}  // namespace penstock::http
