// What the windows that look at samples one after the other have in common: the order of event time, the bounds, the
// hot swap.
#pragma once

#include "ext/steps/window/window.h"
#include "ingest/device_table.h"
#include "ingest/time_buffer.h"

namespace penstock::ext::steps {

// `State` is what a kind keeps of one series. It has
//   for_pieces(f)  calls f(Piece&) for every piece it holds
//   pieces()       how many these are
template <class State>
class OrderedWindow : public ingest::Step {
 public:
  OrderedWindow(Settings settings, ingest::StepContext context)
      : gatherer_(std::move(settings), std::move(context)), series_(gatherer_.settings().devices) {}

  void push(ingest::Sample sample, ingest::Output& out) final {
    if (!gatherer_.wants(sample)) return;
    const std::string* key = settings().by.of(sample);
    if (key == nullptr) return gatherer_.context().drop();
    Series& series = series_.at(*key, [&](auto& oldest) { give_up(oldest.state, out); });
    if (series.clock.ran_ahead(sample, time_)) {
      end(series, out);
      series.waiting = ingest::TimeBuffer();
      series.clock = ingest::SeriesClock();
    }
    if (!series.clock.started()) {
      series.key = *key;
      series.columns = gatherer_.columns();
    }
    if (series.waiting.late(sample)) return gatherer_.context().drop();
    series.clock.note(sample, time_);
    if (settings().late == 0 && series.waiting.size() == 0) {
      series.waiting.pass(sample);
      take_one(series, std::move(sample), out);
      return;
    }
    series.waiting.insert(std::move(sample));
    ++waiting_;
    release(series, series.clock.newest - settings().late, out);
    // Too many wait: this series' oldest does so no longer.
    while (waiting_ > kWaitingMax && series.waiting.size() > 0) release(series, series.waiting.oldest(), out);
  }

  void tick(base::WallMicros now, ingest::Output& out) final {
    time_.tick(now);
    for (auto& entry : series_.entries()) {
      Series& series = entry.state;
      base::WallMicros series_now = series.clock.at(time_);
      if (series_now <= series.clock.newest) continue;
      release(series, series_now - settings().late, out);
      work(series, out, [&] { passed(series, series_now - settings().late, out); });
    }
  }

  void flush(ingest::Output& out) final {
    for (auto& entry : series_.entries()) end(entry.state, out);
  }

  void adopt(Step& before) final {
    auto* other = dynamic_cast<OrderedWindow*>(&before);
    if (other == nullptr || other->settings().kind != settings().kind || !(other->settings().by == settings().by)) {
      return;
    }
    auto places = gatherer_.fitting(other->gatherer_);
    if (!places) return;
    series_.adopt(other->series_);
    time_ = other->time_;
    for (auto& entry : series_.entries()) {
      Series& mine = entry.state;
      waiting_ += mine.waiting.size();
      other->waiting_ -= mine.waiting.size();
      pieces_ += mine.state.pieces();
      other->pieces_ -= mine.state.pieces();
      mine.state.for_pieces([&](Piece& piece) { gatherer_.adopt_piece(piece, *places); });
      gatherer_.adopt_columns(mine.columns, other->gatherer_, *places);
    }
  }

 protected:
  struct Series {
    std::string key;
    std::vector<Column> columns;
    ingest::TimeBuffer waiting;
    ingest::SeriesClock clock;
    State state;
  };

  // The next sample in the order of event time.
  virtual void take(Series& series, ingest::Sample sample, ingest::Output& out) = 0;
  // The series is silent: as far as that tells, no sample older than `now` will come. Samples that come all the same
  // are taken, so what is of use to them is kept; what only holds receipts is let go.
  virtual void passed(Series& series, base::WallMicros now, ingest::Output& out) { (void)series, (void)now, (void)out; }
  // The series is given up: what it still holds is told, and forgotten.
  virtual void close(Series& series, ingest::Output& out) = 0;

  const Settings& settings() const { return gatherer_.settings(); }
  bool gone(const Series& series) const { return series.clock.gone(time_); }

  Gatherer gatherer_;

 private:
  // Whatever is done to a series may change how much it holds.
  template <class Work>
  void work(Series& series, ingest::Output& out, Work&& on_series) {
    pieces_ -= series.state.pieces();
    on_series();
    pieces_ += series.state.pieces();
    if (pieces_ > kPiecesMax && !making_room_) make_room(out);
  }
  void take_one(Series& series, ingest::Sample sample, ingest::Output& out) {
    work(series, out, [&] { take(series, std::move(sample), out); });
  }
  void release(Series& series, base::WallMicros until, ingest::Output& out) {
    ingest::Sample sample;
    while (series.waiting.take(until, sample)) {
      --waiting_;
      take_one(series, std::move(sample), out);
    }
  }
  void end(Series& series, ingest::Output& out) {
    release(series, std::numeric_limits<base::WallMicros>::max(), out);
    work(series, out, [&] { close(series, out); });
  }
  void give_up(Series& series, ingest::Output& out) {
    gatherer_.tell_too_many();
    end(series, out);
  }
  // The bound over all series is reached: the ones silent for longest give up what they hold.
  void make_room(ingest::Output& out) {
    making_room_ = true;
    auto& entries = series_.entries();
    for (auto entry = entries.rbegin(); entry != entries.rend() && pieces_ > kPiecesMax; ++entry) {
      end(entry->state, out);
    }
    making_room_ = false;
  }

  ingest::DeviceTable<Series> series_;
  ingest::TickTime time_;
  std::size_t waiting_ = 0;
  std::size_t pieces_ = 0;
  bool making_room_ = false;
};

}  // namespace penstock::ext::steps
