// Tumbling and hopping windows. Time is cut into panes of `every`; a window is last / every panes. Panes hold running
// figures, so that overlapping windows do not look at a sample twice.
#include <deque>

#include "ext/steps/window/window.h"
#include "ingest/device_table.h"
#include "ingest/time_buffer.h"

namespace penstock::ext::steps {
namespace {

using base::WallMicros;
using ingest::Sample;

struct Pane {
  std::int64_t index = 0;  // covers [index * every, (index + 1) * every)
  Piece piece;
  Sample latest;
  Receipts receipts;
};

struct Series {
  std::string key;
  std::vector<Column> columns;
  std::deque<Pane> panes;                                          // by index
  std::int64_t closed = std::numeric_limits<std::int64_t>::min();  // windows ending at pane `closed` or before are out
  ingest::SeriesClock clock;
};

std::int64_t floor_div(WallMicros a, WallMicros b) { return a / b - (a % b < 0 ? 1 : 0); }

class TimeWindow : public ingest::Step {
 public:
  TimeWindow(Settings settings, ingest::StepContext context)
      : gatherer_(std::move(settings), std::move(context)), series_(gatherer_.settings().devices) {}

  void push(Sample sample, ingest::Output& out) override;
  void tick(WallMicros now, ingest::Output& out) override;
  void flush(ingest::Output& out) override;
  void adopt(Step& before) override;
  ingest::StepPlan plan(const ingest::Shape& in) const override;

 private:
  using Entry = ingest::DeviceTable<Series>::Entry;

  const Settings& settings() const { return gatherer_.settings(); }
  Pane& pane_at(Series& series, std::int64_t index);
  void tell_until(Series& series, std::int64_t until, ingest::Output& out);
  void close_all(Series& series, ingest::Output& out);
  void make_room(ingest::Output& out);
  void drop_front(Series& series);
  void emit(const Series& series, std::int64_t end, ingest::Output& out) const;

  Gatherer gatherer_;
  ingest::DeviceTable<Series> series_;
  ingest::TickTime time_;
  std::size_t panes_ = 0;
};

Pane& TimeWindow::pane_at(Series& series, std::int64_t index) {
  auto place = series.panes.end();
  while (place != series.panes.begin() && std::prev(place)->index >= index) --place;
  if (place != series.panes.end() && place->index == index) return *place;
  Pane pane;
  pane.index = index;
  ++panes_;
  return *series.panes.insert(place, std::move(pane));
}

void TimeWindow::push(Sample sample, ingest::Output& out) {
  if (!gatherer_.wants(sample)) return;
  const std::string* key = settings().by.of(sample);
  if (key == nullptr) return gatherer_.context().drop();
  if (panes_ >= kPiecesMax) make_room(out);
  Series& series = series_.at(*key, [&](Entry& oldest) {
    gatherer_.tell_too_many();
    close_all(oldest.state, out);
  });
  if (series.clock.ran_ahead(sample, time_)) {
    close_all(series, out);
    series = Series();
  }
  if (!series.clock.started()) {
    series.key = *key;
    series.columns = gatherer_.columns();
  }
  std::int64_t index = floor_div(sample.event_time, settings().every);
  bool closed_any = series.closed > std::numeric_limits<std::int64_t>::min();
  if (closed_any && index + settings().panes() <= series.closed) {
    return gatherer_.context().drop();  // every window it belongs to is out
  }
  series.clock.note(sample, time_);
  Pane& pane = pane_at(series, index);
  pane.receipts.add(sample.receipt);
  gatherer_.add(series.columns, pane.piece, sample);
  gatherer_.keep_latest(pane.latest, pane.piece.samples == 1, std::move(sample));
  const std::int64_t until = floor_div(series.clock.newest - settings().late, settings().every);
  tell_until(series, until, out);
  series.closed = std::max(series.closed, until);
}

void TimeWindow::drop_front(Series& series) {
  gatherer_.forget(series.columns, series.panes.front().piece);
  series.panes.pop_front();
  --panes_;
}

// Emits every window that ends at pane `until` or before and has not been.
void TimeWindow::tell_until(Series& series, std::int64_t until, ingest::Output& out) {
  if (until <= series.closed) return;
  std::int64_t panes = settings().panes();
  while (!series.panes.empty()) {
    std::int64_t end = std::max(series.closed, series.panes.front().index) + 1;
    if (end > until) break;
    emit(series, end, out);
    series.closed = end;
    while (!series.panes.empty() && series.panes.front().index + panes <= end) drop_front(series);
  }
}

void TimeWindow::close_all(Series& series, ingest::Output& out) {
  if (series.panes.empty()) return;
  tell_until(series, series.panes.back().index + 1, out);
  while (!series.panes.empty()) drop_front(series);
}

// The bound over all series is reached: those silent for longest give their windows early.
void TimeWindow::make_room(ingest::Output& out) {
  auto& entries = series_.entries();
  for (auto entry = entries.rbegin(); entry != entries.rend() && panes_ >= kPiecesMax; ++entry) {
    close_all(entry->state, out);
  }
}

// Silence tells the windows that are there. It does not say that none come before them: a device that sends in
// batches goes on where it stopped.
void TimeWindow::tick(WallMicros now, ingest::Output& out) {
  time_.tick(now);
  for (Entry& entry : series_.entries()) {
    Series& series = entry.state;
    if (series.panes.empty()) continue;
    WallMicros device_now = series.clock.at(time_);
    if (device_now <= series.clock.newest) continue;
    tell_until(series, floor_div(device_now - settings().late, settings().every), out);
  }
}

void TimeWindow::flush(ingest::Output& out) {
  for (Entry& entry : series_.entries()) close_all(entry.state, out);
}

void TimeWindow::emit(const Series& series, std::int64_t end, ingest::Output& out) const {
  Piece whole;
  const Pane* latest = nullptr;
  ingest::ReceiptGatherer receipts;
  for (const Pane& pane : series.panes) {
    if (pane.index < end - settings().panes() || pane.index >= end) continue;
    whole.merge_figures(pane.piece);
    whole.append_points(pane.piece);
    receipts.add(pane.receipts.joined());
    latest = &pane;
  }
  if (latest == nullptr) return;
  Report report;
  report.device = &series.key;
  report.latest = &latest->latest;
  report.start = end * settings().every - settings().last;
  report.end = report.at = end * settings().every;
  report.ingest_time = series.clock.newest_ingest;
  report.receipt = receipts.joined();
  out.emit(gatherer_.tell(series.columns, whole, report));
}

// Panes of the same width fit, whatever the windows' length.
void TimeWindow::adopt(Step& before) {
  auto* other = dynamic_cast<TimeWindow*>(&before);
  if (other == nullptr || other->settings().every != settings().every || !(other->settings().by == settings().by)) {
    return;
  }
  auto places = gatherer_.fitting(other->gatherer_);
  if (!places) return;
  series_.adopt(other->series_);
  time_ = other->time_;
  for (Entry& entry : series_.entries()) {
    Series& mine = entry.state;
    panes_ += mine.panes.size();
    other->panes_ -= mine.panes.size();
    for (Pane& pane : mine.panes) gatherer_.adopt_piece(pane.piece, *places);
    gatherer_.adopt_columns(mine.columns, other->gatherer_, *places);
  }
}

ingest::StepPlan TimeWindow::plan(const ingest::Shape& in) const {
  std::int64_t panes = (settings().last + settings().late) / settings().every + 1;
  Gatherer::Extent extent{.pieces = static_cast<std::size_t>(panes), .latest_per_piece = true};
  if (in.samples_per_second) extent.samples = 1 + *in.samples_per_second * static_cast<double>(settings().last) / 1e6;
  ingest::StepPlan plan = gatherer_.plan(in, extent);
  plan.out.samples_per_second = std::nullopt;
  if (in.samples_per_second) {
    // No more than samples come, and no more than every series gives windows.
    double windows = 1e6 / static_cast<double>(settings().every) * static_cast<double>(settings().devices);
    plan.out.samples_per_second = std::min(*in.samples_per_second * static_cast<double>(settings().panes()), windows);
  }
  return plan;
}

}  // namespace

std::unique_ptr<ingest::Step> make_time_window(Settings settings, const ingest::StepContext& context) {
  return std::make_unique<TimeWindow>(std::move(settings), context);
}

}  // namespace penstock::ext::steps
