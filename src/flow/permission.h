// What the key of a call allows, and its teams: all of them must agree.
#pragma once

#include "flow/call.h"

namespace penstock::flow {

// Who is it, from where, with which API: before the body is read. unauthenticated: the key was revoked or its time is
// over; permission_denied: everything else.
Result<void> check_caller(const Call& call);
// The part of it that time and changes of the key decide.
Result<void> check_state(const Key& key, const Team* team, base::WallMicros now);
// The model and what else the call needs (Call::needs). permission_denied.
Result<void> check_request(const Call& call);
// Whether the key of this call, if there is one, may use the model: for lists of what there is.
bool may_use(const Call& call, std::string_view model);
// The smallest bound on the tokens of one answer, of key, teams and model; 0: none. The same for the input.
std::int64_t output_max(const Call& call);
std::int64_t input_max(const Call& call);
// The key with this secret, when it may use the admin API from there: `admin` among what it can do, by name.
// permission_denied, or unauthenticated for a secret nobody has.
Result<const Key*> find_admin(const Policy& policy, std::string_view secret, const net::Endpoint& from,
                              base::WallMicros now);

}  // namespace penstock::flow
