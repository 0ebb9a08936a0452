// What the mock provider is asked to be.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "net/address.h"

namespace penstock::mock {

// A way to misbehave.
struct Failure {
  enum class Kind {
    none,
    status,           // an error answer with `status`
    cut,              // the connection ends in the middle of the answer
    hang,             // no answer at all
    stall,            // half of a stream, then silence
    reset,            // the connection ends before the answer
    error_in_stream,  // an error event in the middle of a stream
    bad_json,         // an answer that is not JSON
    no_usage,         // an answer without token counts
  };
  Kind kind = Kind::none;
  int status = 0;
};

// "503" (400 to 599), "cut", "hang", "stall", "reset", "error-in-stream", "bad-json", "no-usage".
Result<Failure> parse_failure(std::string_view text);

// The names parse_failure() knows: "cut, hang, ...".
std::string failure_names();

// A share of all requests that fails in one way.
struct FailRule {
  double share = 0;  // 0 to 1
  Failure failure;
};

// "5%:503", "2%:cut".
Result<FailRule> parse_fail_rule(std::string_view text);

struct Options {
  net::Endpoint listen;
  std::string dialect;            // the only one to speak; empty: all of them
  base::Duration first_token{0};  // from the request to the first token
  base::Duration per_token{0};    // between two tokens; a plain answer waits for all of them
  int tokens = 32;                // length of an answer, 1 to 100,000
  std::vector<FailRule> fail;     // shares add up to at most 100 %
  std::uint64_t seed = 7;
  std::size_t threads = 1;
  std::string api_key;  // when not empty, other keys are answered 401
};

// What cannot be served, said for a person.
Result<void> validate(const Options& options);

}  // namespace penstock::mock
