// How much may this key use per minute?
#pragma once

#include "flow/filter.h"

namespace penstock::ext {

// Requests are charged at admission. Tokens are reserved at admission from an estimate and corrected at settlement by
// what the provider reported; a call that failed without usage gives its reservation back. The estimate can only be too
// low by what a model answers beyond it, so a key may end a minute in debt and waits it off.
class LimitsFilter : public flow::Filter {
 public:
  rt::Task<Result<void>> on_request(flow::Call& call) override;
  Result<void> on_usage(flow::Call& call) override;
  void on_settle(flow::Call& call) override;

 private:
  static Result<void> take(flow::Call& call);
};

}  // namespace penstock::ext
