#include "signal/fourier.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>
#include <random>

namespace penstock::signal {
namespace {

std::vector<Complex> noise(std::size_t n, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<double> one(0, 1);
  std::vector<Complex> result(n);
  for (Complex& x : result) x = {one(random), one(random)};
  return result;
}

TEST(Fourier, LengthsHaveSmallFactorsAndLoseLittle) {
  for (std::size_t n : {1U, 2U, 1000U, 1024U, 44100U - 44100U % 100U}) EXPECT_LE(usable_length(n), n);
  EXPECT_EQ(usable_length(0), 0U);
  EXPECT_EQ(usable_length(7), 6U);
  EXPECT_EQ(usable_length(1000), 1000U);
  for (std::size_t n = 100; n < 70'000; n += 37)
    EXPECT_GT(static_cast<double>(usable_length(n)), 0.89 * static_cast<double>(n));
}

TEST(Fourier, IsTheSumThatDefinesIt) {
  for (std::size_t n : {1U, 2U, 3U, 4U, 5U, 6U, 8U, 12U, 15U, 16U, 20U, 36U, 60U, 125U, 240U}) {
    auto in = noise(n, static_cast<unsigned>(n));
    std::vector<Complex> out(n);
    Fourier(n).forward(std::span<const Complex>(in), out);
    for (std::size_t k = 0; k < n; ++k) {
      Complex sum = 0;
      for (std::size_t i = 0; i < n; ++i) {
        sum += in[i] * std::polar(1.0, -2 * std::numbers::pi * static_cast<double>(k * i % n) / static_cast<double>(n));
      }
      EXPECT_NEAR(std::abs(out[k] - sum), 0, 1e-11 * static_cast<double>(n)) << n << " " << k;
    }
  }
}

TEST(Fourier, KeepsTheEnergyAndComesBack) {
  for (std::size_t n : {64U, 1000U, 1536U, 16384U, 64800U}) {
    auto in = noise(n, 7);
    std::vector<Complex> spectrum(n);
    std::vector<Complex> back(n);
    Fourier fourier(n);
    fourier.forward(std::span<const Complex>(in), spectrum);
    fourier.inverse(spectrum, back);
    double before = 0;
    double after = 0;
    double apart = 0;
    for (std::size_t i = 0; i < n; ++i) {
      before += std::norm(in[i]);
      after += std::norm(spectrum[i]) / static_cast<double>(n);
      apart = std::max(apart, std::abs(in[i] - back[i]));
    }
    EXPECT_NEAR(after / before, 1, 1e-12) << "Parseval";
    EXPECT_LT(apart, 1e-12);
  }
}

TEST(Fourier, OfRealNumbersIsItsOwnMirror) {
  std::vector<double> in(240);
  for (std::size_t i = 0; i < in.size(); ++i) in[i] = std::sin(static_cast<double>(i)) + static_cast<double>(i % 7);
  std::vector<Complex> out(in.size());
  Fourier(in.size()).forward(std::span<const double>(in), out);
  for (std::size_t k = 1; k < in.size(); ++k) EXPECT_NEAR(std::abs(out[k] - std::conj(out[in.size() - k])), 0, 1e-10);
}

}  // namespace
}  // namespace penstock::signal
