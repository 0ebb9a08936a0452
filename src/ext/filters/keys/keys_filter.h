// Who is calling, and may it ask for this model?
#pragma once

#include "flow/filter.h"

namespace penstock::ext {

// Takes the credential from wherever the SDKs put it (Authorization: Bearer, x-api-key, x-goog-api-key, api-key, ?key=)
// and checks it against the key table. A caller that sends none that is known is known by its client certificate, when
// one was shown and a key is bound to its identity. A policy that is open to all (no key was ever made, and only
// loopback can reach the gateway) lets everybody in.
class KeysFilter : public flow::Filter {
 public:
  Result<void> on_head(flow::Call& call) override;
  rt::Task<Result<void>> on_request(flow::Call& call) override;
};

}  // namespace penstock::ext
