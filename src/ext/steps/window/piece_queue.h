// The sum of the pieces in a sliding window, in amortised constant time: two stacks, the older one with running sums
// from its end (after Tangwongsan, Hirzel, Schneider, Wu, "General incremental sliding-window aggregation", VLDB 2015).
// Nothing is ever subtracted, so that no rounding stays behind. The sums stand in the older pieces themselves, whose
// own figures nobody asks for any more; points stay where they are.
#pragma once

#include <deque>

#include "ext/steps/window/gather.h"

namespace penstock::ext::steps {

class PieceQueue {
 public:
  void push(Piece piece) {
    newer_.merge_figures(piece);
    pieces_.push_back(std::move(piece));
  }
  // Not when empty. What is returned is of use for its memory.
  Piece pop() {
    if (older_ == 0) turn();
    --older_;
    Piece first = std::move(pieces_.front());
    pieces_.pop_front();
    return first;
  }
  // All pieces together into `whole`, which is empty; with the points of each where asked for.
  void sum(Piece& whole, bool points) const {
    if (older_ > 0) whole.merge_figures(pieces_.front());
    whole.merge_figures(newer_);
    if (!points) return;
    for (const Piece& piece : pieces_) whole.append_points(piece);
  }
  // The points and the beginning of the oldest piece; its other figures may be those of others too.
  const Piece& front() const { return pieces_.front(); }
  std::size_t size() const { return pieces_.size(); }
  bool empty() const { return pieces_.empty(); }

  // `change` chooses columns: it holds for sums as for single pieces.
  template <class Change>
  void for_each(Change&& change) {
    for (Piece& piece : pieces_) change(piece);
    change(newer_);
  }

 private:
  void turn() {
    older_ = pieces_.size();
    for (std::size_t i = older_ - 1; i > 0; --i) pieces_[i - 1].merge_figures(pieces_[i]);
    newer_ = Piece();
  }

  std::deque<Piece> pieces_;  // oldest first
  std::size_t older_ = 0;     // so many of them hold the sum of themselves and all behind them at the turn
  Piece newer_;               // the sum of the others
};

}  // namespace penstock::ext::steps
