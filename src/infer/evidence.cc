#include "infer/evidence.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace penstock::infer {
namespace {

// The alternatives: odds that differ from the limit's by factors 2^(1/3), 2^(2/3), ... up to 4096 (or 1/4096), each
// with the same weight.
constexpr int kPoints = 36;
constexpr double kStep = 1.0 / 3;

// `direction`: +1 for alternatives above the limit, -1 for those below.
double mixture(double limit, const Count& count, double direction) {
  auto calls = static_cast<double>(count.calls);
  auto bad = static_cast<double>(count.bad);
  double odds = limit / (1 - limit);
  std::array<double, kPoints> ratios{};
  for (int i = 0; i < kPoints; ++i) {
    double factor = direction * (i + 1) * kStep;  // logarithm to base 2
    ratios[static_cast<std::size_t>(i)] =
        bad * factor * std::log(2.0) + calls * (std::log1p(odds) - std::log1p(odds * std::exp2(factor)));
  }
  double most = *std::max_element(ratios.begin(), ratios.end());
  double sum = 0;
  for (double ratio : ratios) sum += std::exp(ratio - most);
  return most + std::log(sum / kPoints);
}

}  // namespace

double evidence_above(double limit, const Count& count) { return mixture(limit, count, 1); }
double evidence_below(double limit, const Count& count) {
  return mixture(limit, {.calls = count.calls + count.unclear, .bad = count.bad + count.unclear}, -1);
}

}  // namespace penstock::infer
