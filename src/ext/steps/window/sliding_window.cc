// Windows that slide from sample to sample: over a time, or over a count of samples.
#include "ext/steps/window/ordered_window.h"
#include "ext/steps/window/piece_queue.h"

namespace penstock::ext::steps {
namespace {

using base::WallMicros;
using ingest::Sample;
using Kind = Settings::Kind;

// The receipts of the samples in the window. Blocks are joined once, so that a window of many samples does not go
// through all of their receipts each time; a receipt is kept until its whole block has left.
class SlidingReceipts {
 public:
  void push(const ingest::ReceiptPtr& receipt) {
    if (blocks_.empty() || blocks_.back().samples == kBlock) blocks_.emplace_back();
    ++blocks_.back().samples;
    blocks_.back().receipts.add(receipt);
    any_ = any_ || receipt;
  }
  void clear() {
    if (!std::exchange(any_, false)) return;
    for (Block& block : blocks_) block.receipts.clear();
  }
  void pop() {
    if (++left_ < blocks_.front().samples) return;
    blocks_.pop_front();
    left_ = 0;
  }
  ingest::ReceiptPtr joined() const {
    if (!any_) return nullptr;
    ingest::ReceiptGatherer all;
    for (const Block& block : blocks_) {
      if (block.receipts.joined()) all.add(block.receipts.joined());
    }
    return all.joined();
  }

 private:
  static constexpr std::size_t kBlock = 32;
  struct Block {
    std::size_t samples = 0;
    Receipts receipts;
  };
  std::deque<Block> blocks_;
  std::size_t left_ = 0;  // samples of the first block that have left
  bool any_ = false;
};

struct Sliding {
  PieceQueue queue;  // one piece per sample
  SlidingReceipts receipts;
  Sample latest;
  std::int64_t seen = 0;   // count windows
  std::int64_t fresh = 0;  // since the last window was told

  std::size_t pieces() const { return queue.size(); }
  template <class Change>
  void for_pieces(Change&& change) {
    queue.for_each(change);
  }
};

class SlidingWindow : public OrderedWindow<Sliding> {
 public:
  using OrderedWindow::OrderedWindow;
  ingest::StepPlan plan(const ingest::Shape& in) const override;

 private:
  void take(Series& series, Sample sample, ingest::Output& out) override;
  void passed(Series& series, WallMicros now, ingest::Output& out) override;
  void close(Series& series, ingest::Output& out) override;
  void pop(Series& series);
  void tell(Series& series, ingest::Output& out);
  // Empty, with the memory that it had.
  static Piece emptied(Piece piece) {
    Piece empty;
    empty.columns = std::move(piece.columns);
    empty.columns.clear();
    return empty;
  }

  Piece spare_;
  Piece whole_;
};

void SlidingWindow::pop(Series& series) {
  gatherer_.forget(series.columns, series.state.queue.front());
  spare_ = series.state.queue.pop();
  series.state.receipts.pop();
}

void SlidingWindow::take(Series& series, Sample sample, ingest::Output& out) {
  Sliding& state = series.state;
  const bool counts = settings().kind == Kind::count;
  auto leaves = [&] {
    if (counts) return static_cast<std::int64_t>(state.queue.size()) >= settings().count;
    return state.queue.front().from <= sample.event_time - settings().last;
  };
  while (!state.queue.empty() && leaves()) pop(series);
  bool told = !settings().emit || settings().emit->test(sample);
  Piece piece = emptied(std::move(spare_));
  gatherer_.add(series.columns, piece, sample);
  state.queue.push(std::move(piece));
  state.receipts.push(sample.receipt);
  gatherer_.keep_latest(state.latest, state.queue.size() == 1, std::move(sample));
  ++state.seen;
  ++state.fresh;
  if (counts) told = state.seen >= settings().count && state.seen % settings().count_every == 0;
  if (told) tell(series, out);
}

// The window ends with samples, not with time: its values stay for the next one.
void SlidingWindow::passed(Series& series, WallMicros now, ingest::Output&) {
  Sliding& state = series.state;
  if (state.queue.empty()) return;
  const bool counts = settings().kind == Kind::count;
  const bool over = !counts && state.latest.event_time <= now - settings().last;
  if (over || gone(series)) state.receipts.clear();
}

void SlidingWindow::tell(Series& series, ingest::Output& out) {
  whole_ = emptied(std::move(whole_));
  series.state.queue.sum(whole_, gatherer_.keeps_points());
  Report report;
  report.device = &series.key;
  report.latest = &series.state.latest;
  report.start = whole_.from;
  report.end = report.at = whole_.to;
  report.ingest_time = series.state.latest.ingest_time;
  report.receipt = series.state.receipts.joined();
  series.state.fresh = 0;
  out.emit(gatherer_.tell(series.columns, whole_, report));
}

// Of a count window the samples that were in none yet are told; a sliding one has told all.
void SlidingWindow::close(Series& series, ingest::Output& out) {
  Sliding& state = series.state;
  if (settings().kind == Kind::count && state.fresh > 0 && !state.queue.empty()) tell(series, out);
  while (!state.queue.empty()) pop(series);
  state.seen = 0;
}

ingest::StepPlan SlidingWindow::plan(const ingest::Shape& in) const {
  const bool counts = settings().kind == Kind::count;
  Gatherer::Extent extent{.pieces = kPiecesMax, .samples_wait = true};
  if (counts) {
    extent.pieces = static_cast<std::size_t>(settings().count);
    extent.samples = static_cast<double>(settings().count);
  } else if (in.samples_per_second) {
    extent.samples = 1 + *in.samples_per_second * static_cast<double>(settings().last) / 1e6;
  }
  ingest::StepPlan plan = gatherer_.plan(in, extent);
  if (in.samples_per_second) {
    plan.out.samples_per_second = *in.samples_per_second / static_cast<double>(counts ? settings().count_every : 1);
  }
  return plan;
}

}  // namespace

std::unique_ptr<ingest::Step> make_sliding_window(Settings settings, const ingest::StepContext& context) {
  return std::make_unique<SlidingWindow>(std::move(settings), context);
}

}  // namespace penstock::ext::steps
