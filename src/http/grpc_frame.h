// Messages of a gRPC call as they stand in its body: a byte that says whether the message is compressed, its length in
// four bytes, the most significant first, and the message.
// Protocol: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md ("Length-Prefixed-Message")
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace penstock::http {

struct GrpcFrame {
  bool compressed = false;
  std::string_view bytes;
};

constexpr std::size_t kGrpcPrefixBytes = 5;

// `bytes` below 4 GiB.
std::array<char, kGrpcPrefixBytes> grpc_prefix(bool compressed, std::size_t bytes);

// The one message of a unary call; a view into `body`. Errors: invalid_argument (none, more than one, cut short, a flag
// nobody knows), resource_exhausted (larger than `bytes_max`).
Result<GrpcFrame> only_grpc_frame(std::string_view body, std::uint64_t bytes_max);

// Takes a body in any pieces and gives its messages one by one.
class GrpcFrames {
 public:
  // `bytes_max` of one message, as it came.
  explicit GrpcFrames(std::uint64_t bytes_max) : bytes_max_(bytes_max) {}

  void feed(std::string_view bytes);
  // The next whole message, valid until the next call of any member; nothing while it is not all there. Errors as
  // only_grpc_frame(); no use after one. A length that is too large is refused before the message comes.
  Result<std::optional<GrpcFrame>> next();
  // The body may end here.
  bool complete() const { return held() == 0; }
  // Bytes that wait for what is missing of their message.
  std::size_t held() const { return buffer_.size() - taken_; }

 private:
  std::uint64_t bytes_max_;
  std::string buffer_;
  std::size_t taken_ = 0;  // bytes of buffer_ given out
};

}  // namespace penstock::http
