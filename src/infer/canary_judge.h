// Whether a canary goes back, takes over, or is watched further, and why in words. Pure: counts in, verdict out.
//
// A canary that keeps all its limits is rolled back with a probability of at most `error_rate`, over its whole life: of
// m rules each needs the evidence m/error_rate. One that breaks a limit is promoted with at most the same probability:
// every rule must show 1/error_rate for "within the limit". See evidence.h.
#pragma once

#include <span>
#include <string>

#include "infer/evidence.h"
#include "infer/traffic_config.h"

namespace penstock::infer {

enum class Verdict { watch, roll_back, promote };

// `counts` in the order of canary.rules. `watched`: for how long until now.
Verdict judge(const CanaryConfig& canary, std::span<const Count> counts, base::Duration watched);

// "14 of 120 calls failed (limit 0.5 %)"
std::string describe(const CanaryRule& rule, const Count& count);

// Why `verdict` was found, with the figures: one or two sentences. `others`: the other versions in the same time, same
// order.
std::string explain(Verdict verdict, const CanaryConfig& canary, std::span<const Count> counts,
                    std::span<const Count> others, base::Duration watched);

}  // namespace penstock::infer
