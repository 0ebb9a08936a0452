// What the head of a gRPC request says, read from its fields.
// Protocol: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md, compression.md beside it
#pragma once

#include <optional>
#include <string_view>

#include "base/clock.h"
#include "codec/coding.h"
#include "http/exchange.h"

namespace penstock::http {

// What messages may come in, as grpc-accept-encoding says it.
inline constexpr std::string_view kGrpcAccepted = "identity,deflate,gzip";

struct GrpcHead {
  std::optional<base::Duration> timeout;                    // grpc-timeout
  codec::Coding encoding = codec::Coding::identity;         // of messages that are marked as compressed
  codec::Coding answer_encoding = codec::Coding::identity;  // what answers are compressed with
};

// "application/grpc", "application/grpc+proto", with or without parameters. Other formats of messages (+json) are not
// spoken here.
bool is_grpc(std::string_view content_type);

// Errors: invalid_argument (grpc-timeout), unimplemented (grpc-encoding). An answer is compressed as its request
// was, where the client takes that: tensors of numbers hardly shrink, so nobody else is served well by it.
Result<GrpcHead> read_grpc_head(const Request& request);

// "100m": at most eight digits and one of H M S m u n. Nothing when it is neither.
std::optional<base::Duration> parse_grpc_timeout(std::string_view text);

}  // namespace penstock::http
