// The discrete Fourier transform of double precision, for lengths whose only prime factors are 2, 3 and 5.
#pragma once

#include <complex>
#include <cstddef>
#include <span>
#include <vector>

namespace penstock::signal {

using Complex = std::complex<double>;

// The largest length up to `n` that Fourier takes: at most a tenth less, mostly a few per cent. 0 for 0.
std::size_t usable_length(std::size_t n);

// Plans one length. Not thread-safe: it has scratch space. Takes time n log n and 4 n complex numbers of memory.
// After Cooley and Tukey (1965), decimated in time, radices 2, 3, 4 and 5.
class Fourier {
 public:
  // `length` as usable_length() gives it; anything else is cut to that.
  explicit Fourier(std::size_t length);
  std::size_t length() const { return roots_.size(); }

  // X[k] = sum of x[n] exp(-2 pi i k n / length), into `out`, which is not `in`. Both of the planned length.
  void forward(std::span<const Complex> in, std::span<Complex> out);
  // The inverse, divided by the length.
  void inverse(std::span<const Complex> in, std::span<Complex> out);
  // Of real numbers; all of the spectrum, half of which is the mirror of the other.
  void forward(std::span<const double> in, std::span<Complex> out);

 private:
  void transform(const Complex* in, std::size_t stride, Complex* out, std::size_t length, std::size_t level) const;
  void butterfly(Complex* out, std::size_t part, std::size_t radix, std::size_t step) const;

  std::vector<std::size_t> radices_;
  std::vector<Complex> roots_;  // exp(-2 pi i k / length)
  std::vector<Complex> scratch_;
};

}  // namespace penstock::signal
