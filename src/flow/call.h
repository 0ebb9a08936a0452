// One call from its first byte to its settlement: what every filter, API and lane knows about it. Lives on one core.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "codec/coding.h"
#include "flow/capability.h"
#include "flow/keys.h"
#include "http/exchange.h"
#include "http/forwarded.h"
#include "http/router.h"
#include "obs/event.h"
#include "quota/book.h"

namespace penstock::flow {

class Admission;
class Policy;
struct Team;
class Dialect;

using quota::ShownLimit;

struct Call {
  Call(http::Exchange& x, const Dialect& d, std::shared_ptr<const Policy> p)
      : exchange(x), dialect(d), policy(std::move(p)) {}

  http::Exchange& exchange;
  const Dialect& dialect;
  std::shared_ptr<const Policy> policy;
  // The one in force on this core now: a reload replaces it while the call stands. Null only in tests.
  const std::shared_ptr<const Policy>* in_force = nullptr;
  obs::RequestEvent event{};
  Admission* admission = nullptr;  // null: every call is taken
  bool in_flight = false;          // it was taken, and counts until it is settled
  bool wrong_key = false;          // a credential came that nobody has

  std::optional<http::Client> forwarded;  // whom a trusted proxy names
  // Who asks, behind trusted proxies; not their addresses.
  const net::Endpoint& client() const { return forwarded ? forwarded->endpoint : exchange.peer().endpoint; }
  // The client's connection is encrypted, as far as it goes to us or to the first proxy.
  bool secure() const { return forwarded ? forwarded->secure : !exchange.peer().tls.version.empty(); }
  // The name the client asked for.
  std::string_view host() const { return forwarded ? forwarded->host : exchange.request().field(wire::FieldId::host); }

  const Key* key = nullptr;    // null when the gateway has no keys; the policy's key table keeps it
  const Team* team = nullptr;  // the key's; of the policy
  std::string model;           // as asked for; empty for calls about no model
  Capabilities needs;          // what its key must be good for; said before admit()
  // What it will use at most, for limits and budgets; said before admit().
  quota::Ask ask;
  std::int64_t input_tokens = 0;                // as counted or estimated before it went out
  quota::Account* model_account = nullptr;      // of the model asked for; null: it has no limits. The plan keeps it.
  const quota::Limits* model_limits = nullptr;  // of the same model; the plan keeps them
  quota::Reservation reservation;               // the limits filter's, from admission to settlement
  std::string_view codings = codec::kAccepted;  // what the body may come in, for whoever is refused with 415
  std::optional<ShownLimit> request_limit;
  std::optional<ShownLimit> token_limit;
  std::optional<base::Duration> retry_after;
  std::string dropped;             // fields of the request that the answering target could not be told; empty: none
  base::Duration upstream_wait{};  // time spent waiting for somebody else
};

// Runs the filters that need only the head: who is it? Before the body is read. Then whether the gateway can take a
// call of this class now.
Result<void> identify(Call& call);
// Runs the filters that need the model and the size: may it, how much? After call.model and call.ask are set. A call
// may have to wait for its turn (limits with `throttle`, money that others hold).
rt::Task<Result<void>> admit(Call& call);

// For calls that stand for long, now and then: may the caller still do this? A reload, a revoked or an expired key say
// no. From then on the call goes by the policy in force.
Result<void> reaffirm(Call& call);
// The same, whenever more tokens were used: call.event has the sums so far. resource_exhausted: the limit is used up.
Result<void> charge(Call& call);

// The fields every answer carries: request id, target, attempts, overhead, limits.
void add_common_fields(const Call& call, http::ResponseHead& head);

// Answers with the dialect's error and notes it in the event. `type` none derives it from the code, `status` 0 from the
// dialect.
rt::Task<void> refuse(Call& call, Error error, obs::ErrorType type = obs::ErrorType::none, int status = 0);
// How every call with a body begins: who is it, then the body, at most `bytes_max`. Nothing when the call was refused
// (and answered) or the client left.
rt::Task<std::optional<std::string_view>> identify_and_read(Call& call, std::uint64_t bytes_max);
// A whole JSON answer with the common fields.
rt::Task<Result<void>> respond_json(Call& call, int status, std::string body);

// RFC 9110 status of a canonical code: the mapping of every dialect that has no other.
int http_status(Errc code);
// Who is to blame when the gateway itself refuses with this code.
obs::ErrorType error_type_of(Errc code);

}  // namespace penstock::flow
