// Why a target did not answer, and whether another attempt is worth it.
#pragma once

#include <optional>
#include <string>

#include "flow/call.h"
#include "llm/plan.h"

namespace penstock::llm {

// When the last provider gave an answer of its own (a 400, a 429), it is kept: in the same dialect it is the best
// explanation there is.
struct Failure {
  explicit Failure(Error e, obs::ErrorType t = obs::ErrorType::other) : error(std::move(e)), type(t) {}
  Error error;
  obs::ErrorType type;
  int upstream_status = 0;
  std::string upstream_body;
  std::string upstream_content_type;
  Family family = Family::openai;                    // of the provider, whose dialect the body is in
  std::optional<chat::ProviderError> provider = {};  // what it said, read
  std::optional<std::chrono::seconds> retry_after;
  std::string retry_lines = {};  // its retry-after-ms and x-should-retry, with their line ends
  bool another_may = false;      // this target cannot do what is asked, which says nothing about the next
};

// An error page is read up to here; the rest says nothing new.
constexpr std::size_t kErrorBytesMax = 256 * 1024;

// What a failed connection, or what came over it, is counted as.
obs::ErrorType type_of_transport(Errc code);
// The provider did, or said, `what`.
Failure target_failure(const Target& target, obs::ErrorType type, Errc code, std::string_view what);
// What the provider sent is not what its protocol promises.
Failure malformed_answer(const Target& target, const Error& error);
// The connection failed, or what came over it was no HTTP.
Failure transport_failure(const Target& target, const Error& error);
// The provider answered with a status that is no success.
Failure status_failure(const Target& target, int status, const wire::Fields& fields, std::string body);

// A provider's retry-after (RFC 9110 section 10.2.3): seconds, or a date, counted from `now`. Nothing for what is
// neither, lies in the past or is further away than a week: whoever waits for it should not be led astray.
std::optional<std::chrono::seconds> read_retry_after(std::string_view text, base::WallMicros now);

// Tells the health of the target's origin how an attempt ended; `failure` is null after a whole answer.
void note_health(const Target& target, const Failure* failure, base::SteadyTime now);
// The same for an answer that ended before its end.
void note_broken(const Target& target, const Error& error, base::SteadyTime now);

// A target that is busy (429) or does not want us (4xx) will not change its mind at once.
bool worth_same_target(const Route& route, const Failure& failure);
// Another target may well answer what this one did not, unless the request itself is at fault.
bool worth_next_target(const Failure& failure);

// First retry after 50 to 100 ms, doubling: enough for a hiccup, short for somebody who waits.
base::Duration backoff(int attempt);
// For order_of_attempts(). Per thread.
std::uint64_t random_number();

// Counts the time until its end as waiting for somebody else.
class Waiting {
 public:
  explicit Waiting(flow::Call& call) : call_(call), since_(std::chrono::steady_clock::now()) {}
  ~Waiting() { call_.upstream_wait += std::chrono::steady_clock::now() - since_; }
  Waiting(const Waiting&) = delete;
  Waiting& operator=(const Waiting&) = delete;

 private:
  flow::Call& call_;
  base::SteadyTime since_;
};

}  // namespace penstock::llm
