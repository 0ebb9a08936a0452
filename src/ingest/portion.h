// How much of a batch goes out in one request, to a peer that takes or refuses requests whole.
#pragma once

#include <algorithm>
#include <cstddef>

namespace penstock::ingest {

// Halves what is refused until the samples that are refused stand alone, and grows again while requests pass: what one
// sample cannot costs its neighbours nothing. Used by one thread.
class Portion {
 public:
  // At least 1 of the `waiting` ones, of which there are some.
  std::size_t of(std::size_t waiting) const { return std::min(waiting, most_); }
  // `count` together were refused. False: it was one alone, so that it is what is refused.
  bool refused(std::size_t count) {
    if (count <= 1) return false;
    most_ = count / 2;
    return true;
  }
  // By a quarter, so that a limit of the peer is run into now and then only.
  void passed() { most_ = std::min(kAny, most_ + most_ / 4 + 1); }

 private:
  static constexpr std::size_t kAny = std::size_t{1} << 20U;  // more than any batch
  std::size_t most_ = kAny;
};

}  // namespace penstock::ingest
