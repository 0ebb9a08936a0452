#include "signal/fourier.h"

#include <algorithm>
#include <array>
#include <numbers>

namespace penstock::signal {
namespace {

constexpr std::size_t kRadixMax = 5;

// Without the care for infinities that the operator takes.
Complex times(const Complex& a, const Complex& b) {
  return {a.real() * b.real() - a.imag() * b.imag(), a.real() * b.imag() + a.imag() * b.real()};
}

// What is left of `n` without its factors 2, 3 and 5.
std::size_t rest_of(std::size_t n) {
  for (std::size_t radix : {2U, 3U, 5U}) {
    while (n % radix == 0) n /= radix;
  }
  return n;
}

}  // namespace

std::size_t usable_length(std::size_t n) {
  while (n > 1 && rest_of(n) != 1) --n;
  return n;
}

Fourier::Fourier(std::size_t length)
    : roots_(std::max<std::size_t>(1, usable_length(length))), scratch_(roots_.size()) {
  std::size_t rest = roots_.size();
  for (std::size_t radix : {4U, 2U, 3U, 5U}) {
    for (; rest % radix == 0; rest /= radix) radices_.push_back(radix);
  }
  for (std::size_t k = 0; k < roots_.size(); ++k) {
    double turn = -2 * std::numbers::pi * static_cast<double>(k) / static_cast<double>(roots_.size());
    roots_[k] = std::polar(1.0, turn);
  }
}

void Fourier::forward(std::span<const Complex> in, std::span<Complex> out) {
  transform(in.data(), 1, out.data(), roots_.size(), 0);
}

void Fourier::forward(std::span<const double> in, std::span<Complex> out) {
  std::copy_n(in.begin(), scratch_.size(), scratch_.begin());
  transform(scratch_.data(), 1, out.data(), roots_.size(), 0);
}

// By the mirror: the conjugate of the transform of the conjugate.
void Fourier::inverse(std::span<const Complex> in, std::span<Complex> out) {
  std::transform(in.begin(), in.end(), scratch_.begin(), [](const Complex& x) { return std::conj(x); });
  transform(scratch_.data(), 1, out.data(), roots_.size(), 0);
  double scale = 1 / static_cast<double>(roots_.size());
  for (Complex& x : out) x = std::conj(x) * scale;
}

void Fourier::transform(const Complex* in, std::size_t stride, Complex* out, std::size_t length,
                        std::size_t level) const {
  if (length == 1) {
    *out = *in;
    return;
  }
  std::size_t radix = radices_[level];
  std::size_t part = length / radix;
  for (std::size_t q = 0; q < radix; ++q) transform(in + q * stride, stride * radix, out + q * part, part, level + 1);
  butterfly(out, part, radix, stride);
}

// Joins `radix` transforms of length `part` that lie one behind the other; `step` is how far apart roots are.
void Fourier::butterfly(Complex* out, std::size_t part, std::size_t radix, std::size_t step) const {
  const std::size_t quarter = roots_.size() / radix;
  std::array<Complex, kRadixMax> turned;
  for (std::size_t k = 0; k < part; ++k) {
    for (std::size_t q = 0; q < radix; ++q) turned[q] = times(out[q * part + k], roots_[q * k * step]);
    if (radix == 2) {
      out[k] = turned[0] + turned[1];
      out[part + k] = turned[0] - turned[1];
      continue;
    }
    if (radix == 4) {
      const Complex even = turned[0] + turned[2];
      const Complex even_apart = turned[0] - turned[2];
      const Complex odd = turned[1] + turned[3];
      const Complex odd_apart = turned[1] - turned[3];
      const Complex across(odd_apart.imag(), -odd_apart.real());  // times -i
      out[k] = even + odd;
      out[part + k] = even_apart + across;
      out[2 * part + k] = even - odd;
      out[3 * part + k] = even_apart - across;
      continue;
    }
    for (std::size_t r = 0; r < radix; ++r) {
      Complex sum = turned[0];
      for (std::size_t q = 1; q < radix; ++q) sum += times(turned[q], roots_[q * r % radix * quarter]);
      out[r * part + k] = sum;
    }
  }
}

}  // namespace penstock::signal
