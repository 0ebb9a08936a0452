// How much may this call use? Asks the accounts it belongs to: its address, its key, the key's teams, its model.
#pragma once

#include "flow/filter.h"

namespace penstock::ext {

// At admission everything a call can use at most is reserved, on all accounts or on none; what others hold may make it
// wait. It settles with what was used: what the provider reported or the lane estimated; all that was reserved after an
// answer without usage; nothing after a failure.
class LimitsFilter : public flow::Filter {
 public:
  rt::Task<Result<void>> on_request(flow::Call& call) override;
  Result<void> on_usage(flow::Call& call) override;
  void on_settle(flow::Call& call) override;
};

}  // namespace penstock::ext
