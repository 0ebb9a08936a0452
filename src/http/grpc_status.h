// What a gRPC call ends with. https://github.com/grpc/grpc/blob/master/doc/statuscodes.md
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace penstock::http {

enum class GrpcStatus : std::uint8_t {
  ok = 0,
  cancelled = 1,
  unknown = 2,
  invalid_argument = 3,
  deadline_exceeded = 4,
  not_found = 5,
  already_exists = 6,
  permission_denied = 7,
  resource_exhausted = 8,
  failed_precondition = 9,
  aborted = 10,
  out_of_range = 11,
  unimplemented = 12,
  internal = 13,
  unavailable = 14,
  data_loss = 15,
  unauthenticated = 16
};

// Total. A full queue of ours is `unavailable`: the call may be sent again.
GrpcStatus grpc_status(Errc code);

// Longer messages are cut: clients take heads of 8 KiB.
constexpr std::size_t kGrpcMessageBytesMax = 2000;

// The value of grpc-message: UTF-8 with everything that is not printable ASCII, and '%', as %XX.
std::string grpc_message(std::string_view text);

}  // namespace penstock::http
