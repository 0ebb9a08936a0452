// The sum of the pieces in a sliding window, in amortised constant time: two stacks, the older one with running sums
// from its end (after Tangwongsan, Hirzel, Schneider, Wu, "General incremental sliding-window aggregation", VLDB 2015).
// Nothing is ever subtracted, so that no rounding stays behind.
#pragma once

#include <deque>
#include <vector>

#include "ext/steps/window/gather.h"

namespace penstock::ext::steps {

class PieceQueue {
 public:
  void push(Piece piece) {
    newer_.merge_figures(piece);
    pieces_.push_back(std::move(piece));
  }
  // Not when empty.
  void pop() {
    if (sums_.empty()) turn();
    sums_.pop_back();
    pieces_.pop_front();
  }
  // All pieces together; with the points of each where asked for.
  Piece sum(bool points) const {
    Piece whole;
    if (!sums_.empty()) whole.merge_figures(sums_.back());
    whole.merge_figures(newer_);
    if (!points) return whole;
    for (const Piece& piece : pieces_) whole.append_points(piece);
    return whole;
  }
  const Piece& front() const { return pieces_.front(); }
  const Piece& back() const { return pieces_.back(); }
  std::size_t size() const { return pieces_.size(); }
  bool empty() const { return pieces_.empty(); }

  // The pieces were changed: sums are taken afresh.
  template <class Change>
  void for_each(Change&& change) {
    for (Piece& piece : pieces_) change(piece);
    sums_.clear();
    newer_ = Piece();
    for (const Piece& piece : pieces_) newer_.merge_figures(piece);
  }

 private:
  void turn() {
    sums_.reserve(pieces_.size());
    for (auto piece = pieces_.rbegin(); piece != pieces_.rend(); ++piece) {
      Piece sum;
      sum.merge_figures(*piece);
      if (!sums_.empty()) sum.merge_figures(sums_.back());
      sums_.push_back(std::move(sum));
    }
    newer_ = Piece();
  }

  std::deque<Piece> pieces_;  // oldest first
  std::vector<Piece> sums_;   // of the older pieces: the last is from the oldest on
  Piece newer_;               // of those that are in no sum of sums_
};

}  // namespace penstock::ext::steps
