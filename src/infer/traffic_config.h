// Which version answers a request that names none:
//   labels: { stable: 3, canary: 4 }
//   split:  { 3: 90%, 4: 10% }
//   sticky: key                      # or a request field: { header: x-user } or { parameter: user }
//   canary: { version: 4, share: 10%, rollback_if: "errors > 0.5% or p99 > 20ms or disagreement > 2%",
//             promote_after: 30m, error_rate: 1% }
//   shadow: { version: 4, share: 5% }
//   compare: { as: auto, tolerance: 1% }   # auto | classes | numbers: when two answers agree
//
// What a request without a version gets: the version promoted by decision or command, else as `split` says, else the
// one labelled `stable`, else the highest in service; a canary has its share before that, and none once it is rolled
// back.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "config/document.h"

namespace penstock::infer {

// One condition of `rollback_if`: a share of the calls that must not be exceeded.
struct CanaryRule {
  enum class Kind {
    errors,        // calls that failed
    latency,       // calls that took longer than `bound`
    disagreement,  // calls that the old version answered otherwise
  };
  Kind kind = Kind::errors;
  double share = 0;        // 0.005 for errors > 0.5 %; 0.01 for p99
  base::Duration bound{};  // of latency
  std::string text;        // as written
  bool operator==(const CanaryRule&) const = default;
};

// At most this many versions in a split, and this many rules for a canary.
constexpr std::size_t kSplitMax = 16;
constexpr std::size_t kRulesMax = 4;

struct CanaryConfig {
  std::int64_t version = 0;
  double share = 0.1;
  std::vector<CanaryRule> rules;
  base::Duration promote_after{};  // of being watched, at least; 0: never by itself
  // The probability of a wrong decision that is accepted, for each of the two.
  double error_rate = 0.01;
  bool operator==(const CanaryConfig&) const = default;
};

struct ShadowConfig {
  std::int64_t version = 0;
  double share = 1;
  bool operator==(const ShadowConfig&) const = default;
};

// When the answers of two versions to the same request agree: infer/agreement.h.
struct CompareConfig {
  enum class As { detected, classes, numbers };
  As as = As::detected;
  double tolerance = 0.01;  // relative, of floating-point numbers
  bool operator==(const CompareConfig&) const = default;
};

struct TrafficConfig {
  enum class Sticky { none, key, header, parameter };
  std::map<std::string, std::int64_t> labels;
  std::map<std::int64_t, double> split;  // shares; they add up to 1
  Sticky sticky = Sticky::none;
  std::string sticky_name;  // of the header or the parameter
  std::optional<CanaryConfig> canary;
  std::optional<ShadowConfig> shadow;
  CompareConfig compare;
  bool operator==(const TrafficConfig&) const = default;
};

// Reports mistakes at their place.
TrafficConfig parse_traffic(config::Map& model);

// "errors > 0.5% or p99 > 20ms or disagreement > 2%". Errors: invalid_argument, with the part that is wrong.
Result<std::vector<CanaryRule>> parse_rules(std::string_view text);

// Shares as people write them: 0.005 is "0.5 %".
std::string format_share(double share);

// Shares of versions by number, as commands give them: { "3": "90%", "4": "10%" }. Labels: { "stable": "3" }. Errors:
// invalid_argument.
Result<std::map<std::int64_t, double>> read_split(const std::map<std::string, std::string>& given);
Result<std::map<std::string, std::int64_t>> read_labels(const std::map<std::string, std::string>& given);

}  // namespace penstock::infer
