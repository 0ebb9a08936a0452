#include "base/result.h"

namespace penstock {

std::string_view to_string(Errc code) {
  switch (code) {
    case Errc::cancelled: return "cancelled";
    case Errc::invalid_argument: return "invalid_argument";
    case Errc::deadline_exceeded: return "deadline_exceeded";
    case Errc::not_found: return "not_found";
    case Errc::already_exists: return "already_exists";
    case Errc::permission_denied: return "permission_denied";
    case Errc::unauthenticated: return "unauthenticated";
    case Errc::resource_exhausted: return "resource_exhausted";
    case Errc::failed_precondition: return "failed_precondition";
    case Errc::out_of_range: return "out_of_range";
    case Errc::unimplemented: return "unimplemented";
    case Errc::internal: return "internal";
    case Errc::unavailable: return "unavailable";
    case Errc::data_loss: return "data_loss";
    case Errc::backpressure: return "backpressure";
    case Errc::protocol_error: return "protocol_error";
  }
  return "internal";
}

}  // namespace penstock
