// Frequencies in a configuration: 10kHz, 3000rpm, a range 10Hz..1kHz.
#pragma once

#include <optional>

#include "config/document.h"

namespace penstock::ingest {

struct FrequencyBand {
  double from = 0;  // Hz
  double to = 0;    // above `from`
};

// In Hz, more than 0. Nothing when absent or after a mistake, which is reported.
std::optional<double> read_frequency(const config::Node& node);
// The lower end may be 0.
std::optional<FrequencyBand> read_band(const config::Node& node);

}  // namespace penstock::ingest
