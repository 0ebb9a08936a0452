// How far out in its own past is a number? One side of a distribution, learned online from block maxima.
#pragma once

#include <cstddef>
#include <limits>
#include <vector>

namespace penstock::ext::anomaly {

// Upper tail of a stream. The stream is cut into blocks and only each block's maximum is kept (that also takes the edge
// off autocorrelation: a long excursion is one maximum, not many). Beyond the quantile that leaves `share` of the
// maxima above it, the tail is taken as a generalised Pareto distribution of light shape; its scale is the mean excess,
// shrunk towards what the quantile's distance from the median predicts, so that a handful of maxima is enough: peaks
// over threshold as in Siffer et al. 2017. When 256 blocks are held while blocks are still short, neighbours are merged
// and the block length doubles; at the longest length the oldest block is replaced. So memory is at most 2 KiB and
// reaches back 16,384 values.
class Tail {
 public:
  explicit Tail(double share) : share_(share) {}

  // -ln of the probability that a value is at least `value`; 0 below the threshold and until 8 blocks are full, at most
  // kSurpriseMost. `resolution` is the least scale the tail may have: how small a difference still means something.
  double surprise(double value, double resolution) const;
  // Only a finite value.
  void add(double value);

  bool ready() const { return ready_; }
  // The quantile where the tail begins. Only when ready.
  double threshold() const { return threshold_; }

  static constexpr double kSurpriseMost = 60;
  static constexpr int kShortestBlock = 32;

 private:
  void close_block();
  void insert_sorted(float value);
  void replace_sorted(float leaving, float value);
  void merge_blocks();
  void fit();

  double share_;
  std::vector<float> maxima_;  // in order of time, from oldest_ on once full
  std::vector<float> sorted_;  // the same, ascending
  std::size_t oldest_ = 0;
  int block_length_ = kShortestBlock;
  int in_block_ = 0;
  float block_max_ = -std::numeric_limits<float>::infinity();
  bool ready_ = false;
  double threshold_ = 0;
  double scale_ = 0;
  double base_surprise_ = 0;  // at the threshold
};

// Both sides of one stream.
class TwoTails {
 public:
  explicit TwoTails(double share) : upper_(share), lower_(share) {}

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
