#include "ext/steps/fft/spectrum.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <numeric>

namespace penstock::ext::steps {
namespace {

constexpr std::size_t kPlansMax = 4;

}  // namespace

double Spectrum::band(ingest::FrequencyBand band) const {
  if (resolution <= 0) return 0;
  auto last = static_cast<double>(power.size()) - 1;
  auto from = static_cast<std::size_t>(std::clamp(std::ceil(band.from / resolution - 1e-9), 0.0, last + 1));
  auto to = std::floor(band.to / resolution + 1e-9);
  double sum = 0;
  for (std::size_t k = from; k < power.size() && static_cast<double>(k) <= to; ++k) sum += power[k];
  return std::sqrt(sum);
}

std::vector<Peak> Spectrum::peaks(std::size_t most) const {
  std::vector<Peak> found;
  for (std::size_t k = 1; k + 1 < amplitude.size(); ++k) {
    const double before = amplitude[k - 1];
    const double here = amplitude[k];
    const double after = amplitude[k + 1];
    if (here <= before || here < after || here <= 0) continue;
    // A parabola through the logarithms, which is close for Hann's main lobe.
    double shift = 0;
    if (before > 0 && after > 0) {
      double low = std::log(before / here);
      double high = std::log(after / here);
      if (low + high < 0) shift = std::clamp((low - high) / (2 * (low + high)), -0.5, 0.5);
    }
    found.push_back({(static_cast<double>(k) + shift) * resolution, here});
  }
  auto larger = [](const Peak& a, const Peak& b) { return a.amplitude > b.amplitude; };
  std::size_t kept = std::min(most, found.size());
  std::partial_sort(found.begin(), found.begin() + static_cast<std::ptrdiff_t>(kept), found.end(), larger);
  found.resize(kept);
  return found;
}

Analyser::Plan::Plan(std::size_t length, Taper taper)
    : fourier(length), weights(length, 1), weighted(length), lines(length) {
  for (std::size_t i = 0; i < length && taper == Taper::hann; ++i) {
    weights[i] = 0.5 - 0.5 * std::cos(2 * std::numbers::pi * static_cast<double>(i) / static_cast<double>(length));
  }
  for (double weight : weights) {
    sum += weight;
    squares += weight * weight;
  }
}

Analyser::Plan& Analyser::plan(std::size_t length) {
  auto found = plans_.find(length);
  if (found != plans_.end()) return *found->second;
  if (plans_.size() >= kPlansMax) plans_.clear();
  return *plans_.emplace(length, std::make_unique<Plan>(length, taper_)).first->second;
}

Spectrum Analyser::analyse(std::span<const double> values, double rate) {
  std::size_t length = signal::usable_length(values.size());
  values = values.last(length);
  Plan& with = plan(length);
  const auto n = static_cast<double>(length);
  const double mean = std::accumulate(values.begin(), values.end(), 0.0) / n;
  for (std::size_t i = 0; i < length; ++i) with.weighted[i] = (values[i] - mean) * with.weights[i];
  with.fourier.forward(std::span<const double>(with.weighted), with.lines);
  Spectrum spectrum;
  spectrum.resolution = rate / n;
  spectrum.power.resize(length / 2 + 1);
  spectrum.amplitude.resize(length / 2 + 1);
  for (std::size_t k = 0; k <= length / 2; ++k) {
    // The first line and, of an even length, the last one have no mirror.
    const double sides = k == 0 || 2 * k == length ? 1 : 2;
    const double square = std::norm(with.lines[k]);
    spectrum.power[k] = sides * square / (n * with.squares);
    spectrum.amplitude[k] = sides * std::sqrt(square) / with.sum;
  }
  return spectrum;
}

}  // namespace penstock::ext::steps
