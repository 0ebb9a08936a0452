// Windows that the samples themselves open and close: sessions end with silence, states with a condition.
#include "ext/steps/window/ordered_window.h"

namespace penstock::ext::steps {
namespace {

using base::WallMicros;
using ingest::Sample;
using Kind = Settings::Kind;

struct Session {
  bool open = false;
  Piece piece;
  Sample latest;
  Receipts receipts;

  std::size_t pieces() const { return open ? 1 : 0; }
  template <class Change>
  void for_pieces(Change&& change) {
    change(piece);
  }
};

class SessionWindow : public OrderedWindow<Session> {
 public:
  using OrderedWindow::OrderedWindow;
  ingest::StepPlan plan(const ingest::Shape& in) const override;

 private:
  void take(Series& series, Sample sample, ingest::Output& out) override;
  void passed(Series& series, WallMicros now, ingest::Output& out) override;
  void close(Series& series, ingest::Output& out) override;
  bool over(const Session& state, WallMicros at) const;
};

// Whether a window that is open ends before a sample at `at`.
bool SessionWindow::over(const Session& state, WallMicros at) const {
  bool silent = settings().kind == Kind::session && at - state.piece.to > settings().gap;
  return silent || (settings().max > 0 && at - state.piece.from >= settings().max);
}

void SessionWindow::take(Series& series, Sample sample, ingest::Output& out) {
  Session& state = series.state;
  const bool states = settings().kind == Kind::state;
  if (state.open && over(state, sample.event_time)) close(series, out);
  if (states) {
    bool begins = settings().begin->test(sample);
    // Without `emit` a window lasts as long as `begin` holds.
    if (state.open && !settings().emit && !begins) close(series, out);
    if (!state.open && !begins) return;
  }
  bool ends = states && settings().emit && settings().emit->test(sample);
  gatherer_.add(series.columns, state.piece, sample);
  state.receipts.add(sample.receipt);
  gatherer_.keep_latest(state.latest, !state.open, std::move(sample));
  state.open = true;
  if (ends) close(series, out);
}

void SessionWindow::passed(Series& series, WallMicros now, ingest::Output& out) {
  if (series.state.open && over(series.state, now)) close(series, out);
  if (gone(series)) series.state.receipts.clear();
}

void SessionWindow::close(Series& series, ingest::Output& out) {
  Session state = std::exchange(series.state, Session());
  if (!state.open) return;
  gatherer_.forget(series.columns, state.piece);
  Report report;
  report.device = &series.key;
  report.latest = &state.latest;
  report.start = state.piece.from;
  report.end = report.at = state.piece.to;
  report.ingest_time = state.latest.ingest_time;
  report.receipt = state.receipts.joined();
  out.emit(gatherer_.tell(series.columns, state.piece, report));
}

ingest::StepPlan SessionWindow::plan(const ingest::Shape& in) const {
  ingest::StepPlan plan = gatherer_.plan(in, {.samples_wait = true});
  plan.out.samples_per_second = in.samples_per_second;
  return plan;
}

}  // namespace

std::unique_ptr<ingest::Step> make_session_window(Settings settings, const ingest::StepContext& context) {
  return std::make_unique<SessionWindow>(std::move(settings), context);
}

}  // namespace penstock::ext::steps
