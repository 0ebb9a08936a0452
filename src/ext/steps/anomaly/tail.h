// How far out in its own past is a number? One side of a distribution, learned online from block maxima.
#pragma once

#include <cstddef>
#include <limits>
#include <vector>

namespace penstock::ext::anomaly {

// Upper tail of a stream. The stream is cut into blocks and only each block's maximum is kept (that also takes the edge
// off autocorrelation: a long excursion is one maximum, not many). Above the 90 % quantile of the maxima the tail is
// taken as exponential, its mean excess shrunk towards what the quantile's distance from the median predicts, so that a
// handful of maxima is enough: peaks over threshold as in Siffer et al. 2017 with a fixed, light shape.
// When 256 blocks are held while blocks are still short, neighbours are merged and the block length doubles; at the
// longest length the oldest block is replaced. So memory is 1 KiB and reaches back 16,384 values.
class Tail {
 public:
  // -ln of the probability that a value is at least `value`; 0 below the threshold and until 8 blocks are full, at most
  // kSurpriseMax. `resolution` is the least scale the tail may have: how small a difference still means something.
  double surprise(double value, double resolution) const;
  void add(double value);

  static constexpr double kSurpriseMax = 60;

 private:
  void close_block();
  void fit();

  std::vector<float> maxima_;
  std::size_t oldest_ = 0;
  int block_length_;
  int in_block_ = 0;
  float block_max_ = -std::numeric_limits<float>::infinity();
  double threshold_ = 0;
  double scale_ = 0;
  double base_surprise_ = 0;
  bool fitted_ = false;

 public:
  Tail();
};

// Both sides of one stream.
class TwoTails {
 public:
  double surprise(double value, double resolution) const {
    const double above = upper_.surprise(value, resolution);
    return above > 0 ? above : lower_.surprise(-value, resolution);
  }
  void add(double value) {
    upper_.add(value);
    lower_.add(-value);
  }

 private:
  Tail upper_;
  Tail lower_;
};

}  // namespace penstock::ext::anomaly
