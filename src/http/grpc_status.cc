#include "http/grpc_status.h"

namespace penstock::http {

GrpcStatus grpc_status(Errc code) {
  switch (code) {
    case Errc::cancelled: return GrpcStatus::cancelled;
    case Errc::invalid_argument: return GrpcStatus::invalid_argument;
    case Errc::deadline_exceeded: return GrpcStatus::deadline_exceeded;
    case Errc::not_found: return GrpcStatus::not_found;
    case Errc::already_exists: return GrpcStatus::already_exists;
    case Errc::permission_denied: return GrpcStatus::permission_denied;
    case Errc::unauthenticated: return GrpcStatus::unauthenticated;
    case Errc::resource_exhausted: return GrpcStatus::resource_exhausted;
    case Errc::failed_precondition: return GrpcStatus::failed_precondition;
    case Errc::out_of_range: return GrpcStatus::out_of_range;
    case Errc::unimplemented: return GrpcStatus::unimplemented;
    case Errc::internal: return GrpcStatus::internal;
    case Errc::unavailable: return GrpcStatus::unavailable;
    case Errc::data_loss: return GrpcStatus::data_loss;
    case Errc::backpressure: return GrpcStatus::unavailable;
    case Errc::protocol_error: return GrpcStatus::internal;
  }
  return GrpcStatus::unknown;
}

std::string grpc_message(std::string_view text) {
  constexpr std::string_view kHex = "0123456789ABCDEF";
  std::string encoded;
  encoded.reserve(std::min(text.size(), kGrpcMessageBytesMax));
  for (char c : text) {
    if (encoded.size() + 3 > kGrpcMessageBytesMax) break;
    auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte <= 0x7E && c != '%') {
      encoded += c;
    } else {
      encoded += {'%', kHex[byte >> 4], kHex[byte & 15]};
    }
  }
  return encoded;
}

}  // namespace penstock::http
