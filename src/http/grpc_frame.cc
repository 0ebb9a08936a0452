#include "http/grpc_frame.h"

namespace penstock::http {
namespace {

struct Prefix {
  bool compressed = false;
  std::uint64_t bytes = 0;
};

// `text` has kGrpcPrefixBytes at least.
Result<Prefix> read_prefix(std::string_view text, std::uint64_t bytes_max) {
  auto flag = static_cast<unsigned char>(text[0]);
  if (flag > 1) {
    return fail(Errc::invalid_argument,
                fmt::format("a message begins with the byte {}: 0 (plain) or 1 (compressed) is expected", flag));
  }
  Prefix prefix{flag == 1, 0};
  for (std::size_t i = 1; i < kGrpcPrefixBytes; ++i)
    prefix.bytes = prefix.bytes << 8 | static_cast<unsigned char>(text[i]);
  if (prefix.bytes > bytes_max) {
    return fail(Errc::resource_exhausted,
                fmt::format("the message of {} bytes is larger than the limit of {} bytes", prefix.bytes, bytes_max));
  }
  return prefix;
}

}  // namespace

std::array<char, kGrpcPrefixBytes> grpc_prefix(bool compressed, std::size_t bytes) {
  std::array<char, kGrpcPrefixBytes> prefix{};
  prefix[0] = compressed ? 1 : 0;
  for (std::size_t i = 1; i < kGrpcPrefixBytes; ++i) prefix[i] = static_cast<char>(bytes >> (8 * (4 - i)) & 0xFF);
  return prefix;
}

Result<GrpcFrame> only_grpc_frame(std::string_view body, std::uint64_t bytes_max) {
  if (body.empty()) return fail(Errc::invalid_argument, "the call has no message");
  if (body.size() < kGrpcPrefixBytes) return fail(Errc::invalid_argument, "the message is cut short");
  auto prefix = read_prefix(body, bytes_max);
  if (!prefix) return std::unexpected(prefix.error());
  std::uint64_t got = body.size() - kGrpcPrefixBytes;
  if (got < prefix->bytes) {
    return fail(Errc::invalid_argument,
                fmt::format("the message says that it has {} bytes, but {} came", prefix->bytes, got));
  }
  if (got > prefix->bytes) return fail(Errc::invalid_argument, "this method takes one message; more came");
  return GrpcFrame{prefix->compressed, body.substr(kGrpcPrefixBytes)};
}

void GrpcFrames::feed(std::string_view bytes) {
  buffer_.erase(0, std::exchange(taken_, 0));
  buffer_ += bytes;
}

Result<std::optional<GrpcFrame>> GrpcFrames::next() {
  std::string_view left = std::string_view(buffer_).substr(taken_);
  if (left.size() < kGrpcPrefixBytes) return std::optional<GrpcFrame>{};
  auto prefix = read_prefix(left, bytes_max_);
  if (!prefix) return std::unexpected(prefix.error());
  if (left.size() - kGrpcPrefixBytes < prefix->bytes) return std::optional<GrpcFrame>{};
  auto size = static_cast<std::size_t>(prefix->bytes);
  taken_ += kGrpcPrefixBytes + size;
  return std::optional<GrpcFrame>(GrpcFrame{prefix->compressed, left.substr(kGrpcPrefixBytes, size)});
}

}  // namespace penstock::http
