// How strongly calls speak for or against "the share of bad calls is within the limit", to be looked at after every
// call for as long as one likes.
//
// Both figures are e-processes: they start at 1, and while the claim they speak against is true, whatever happens, the
// probability that one ever passes 1/a is at most a (Ville 1939; Ramdas, Gruenwald, Vovk and Shafer 2023, "Game-
// theoretic statistics and safe anytime-valid inference", Statistical Science 38). So a decision at the first look that
// shows 1/a is wrong with probability a at most, however often is looked. Each is a mixture of likelihood ratios of one
// share against the limit (Robbins 1970, "Statistical methods related to the law of the iterated logarithm"; Howard,
// Ramdas, McAuliffe and Sekhon 2021, "Time-uniform, nonparametric, nonasymptotic confidence sequences", Annals of
// Statistics 49), or, the same, a bet on every call (Waudby-Smith and Ramdas 2024, "Estimating means of bounded random
// variables by betting", JRSS B 86). Calls need not be independent, nor their share constant: it is enough that, given
// all before, each is bad with a probability within the limit (or, for the second, beyond it).
#pragma once

#include <cstdint>

namespace penstock::infer {

struct Count {
  std::uint64_t calls = 0;
  std::uint64_t bad = 0;      // of them
  std::uint64_t unclear = 0;  // besides: may have been bad, nobody saw their end
  bool operator==(const Count&) const = default;
};

// The natural logarithm of the evidence against "share <= limit". `limit` lies between 0 and 1.
double evidence_above(double limit, const Count& count);
// The same against "share >= limit"; what is unclear counts as bad.
double evidence_below(double limit, const Count& count);

}  // namespace penstock::infer
