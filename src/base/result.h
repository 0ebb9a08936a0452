// Result<T>: a value or an Error. The only way a failure crosses a module boundary; no exception does.
#pragma once

#include <expected>
#include <string>
#include <string_view>

namespace penstock {

// The canonical codes. Each surface (HTTP status, OpenAI, OIP, ...) owns one total mapping from these.
enum class Errc {
  cancelled,            // the caller went away or asked to stop
  invalid_argument,     // the input is wrong whatever the state of the system
  deadline_exceeded,    // time ran out
  not_found,            // the named thing does not exist
  already_exists,       // the name is taken
  permission_denied,    // known caller, not allowed
  unauthenticated,      // unknown caller
  resource_exhausted,   // a limit, quota or budget is used up
  failed_precondition,  // right call, wrong state of the system
  out_of_range,         // larger or smaller than a stated limit
  unimplemented,        // a valid request for something this build or target cannot do
  internal,             // a bug or a broken invariant of ours
  unavailable,          // the other side cannot be reached or is overloaded: try again later
  data_loss,            // stored or received bytes are damaged or cut short
  backpressure,         // a bounded queue of ours is full
  protocol_error,       // the peer broke the wire protocol
};

std::string_view to_string(Errc code);

// `detail` is for people: what was wrong, where, what to do next; never a secret. `source` names who refused: a
// provider, a sink, a file; empty for the gateway itself.
struct Error {
  Errc code = Errc::internal;
  std::string detail;
  std::string source = {};
};

template <class T = void>
using Result = std::expected<T, Error>;

inline std::unexpected<Error> fail(Errc code, std::string detail, std::string source = {}) {
  return std::unexpected<Error>(Error{code, std::move(detail), std::move(source)});
}

}  // namespace penstock
