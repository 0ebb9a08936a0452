// `devices:` of the configuration.
#pragma once

#include <string>
#include <vector>

#include "config/document.h"

namespace penstock::device {

// What becomes of samples of devices that the registry does not know.
enum class Unknown { accept, quarantine, refuse };

// "malformed > 50/min": a device that does more of it within the time is quarantined.
struct QuarantineRule {
  enum class Figure { samples, malformed };
  Figure figure = Figure::malformed;
  std::uint64_t most = 0;
  base::Duration within{};
  std::string text;  // as written
  bool operator==(const QuarantineRule&) const = default;
};
// Errors: invalid_argument.
Result<QuarantineRule> parse_rule(std::string_view text);

struct Settings {
  Unknown unknown = Unknown::accept;
  std::vector<QuarantineRule> quarantine_if;
  base::Duration silent_after = std::chrono::minutes(5);  // a device not seen for so long is shown as silent
  int certificate_days = 365;                             // of certificates made at onboarding
};
// Absent: the defaults. Mistakes are reported on the node.
Settings parse_settings(const config::Node& node);

}  // namespace penstock::device
