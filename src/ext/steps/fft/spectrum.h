// The spectrum of a block of values: power, bands and peaks.
#pragma once

#include <map>
#include <memory>
#include <span>
#include <vector>

#include "ingest/frequency.h"
#include "signal/fourier.h"

namespace penstock::ext::steps {

enum class Taper : std::uint8_t { hann, rectangular };

struct Peak {
  double hertz = 0;
  double amplitude = 0;
};

// One-sided, of the values without their mean. power[k] belongs to k * resolution Hz; for a rectangular taper their sum
// is the mean square of the values, for Hann it is that of a stationary signal.
struct Spectrum {
  double resolution = 0;  // Hz
  std::vector<double> power;
  std::vector<double> amplitude;  // of a sine at that frequency

  double rms() const { return band({0, resolution * static_cast<double>(power.size())}); }
  // Root mean square of what lies within the band, both ends included.
  double band(ingest::FrequencyBand band) const;
  // The largest local maxima, largest first; frequencies are interpolated between the lines.
  std::vector<Peak> peaks(std::size_t most) const;
};

// Keeps the plans of the lengths it met last.
class Analyser {
 public:
  explicit Analyser(Taper taper) : taper_(taper) {}
  // Of the newest values, as many as Fourier takes; at least 8. `rate` in values per second.
  Spectrum analyse(std::span<const double> values, double rate);

 private:
  struct Plan {
    explicit Plan(std::size_t length, Taper taper);
    signal::Fourier fourier;
    std::vector<double> weights;
    double sum = 0;      // of the weights
    double squares = 0;  // of their squares
    std::vector<double> weighted;
    std::vector<signal::Complex> lines;
  };
  Plan& plan(std::size_t length);

  Taper taper_;
  std::map<std::size_t, std::unique_ptr<Plan>> plans_;
};

}  // namespace penstock::ext::steps
