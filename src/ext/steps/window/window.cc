#include "ext/steps/window/window.h"

#include <cmath>
#include <deque>

#include "base/quantity.h"
#include "ext/steps/window/aggregate.h"
#include "ingest/device_table.h"

namespace penstock::ext::steps {
namespace {

using base::WallMicros;
using ingest::Field;
using ingest::Sample;

constexpr std::size_t kColumnsMax = 64;             // fields per device
constexpr std::size_t kPointsPerFieldMax = 65'536;  // values kept for one field of one device
constexpr std::size_t kPointsMax = 4'000'000;       // values kept by the step: 64 MB
constexpr std::int64_t kPanesMax = 10'000;          // (last + late) / every
constexpr WallMicros kSecond = 1'000'000;
constexpr WallMicros kFutureMax = 3600 * kSecond;  // a sample that far ahead of its arrival has a broken clock
constexpr WallMicros kSilence = kSecond;           // what a silent device gets on top of `late`

struct Settings {
  WallMicros last = 0;
  WallMicros every = 0;
  WallMicros late = 0;
  enum class By { device, tag, all } by = By::device;
  std::string tag;
  std::vector<std::pair<std::string, AggregateCall>> outputs;  // empty: arrays of everything
};

// Time is cut into panes of `every`; a window is last / every panes. Panes hold running figures, so that overlapping
// windows do not look at a sample twice.
struct Pane {
  std::int64_t index = 0;  // covers [index * every, (index + 1) * every)
  std::uint64_t samples = 0;
  ingest::Quality worst = ingest::Quality::good;
  Sample latest;  // by event time
  std::vector<Accumulator> columns;
};

struct Column {
  std::string name;
  std::string unit;
  bool keeps_points = false;
  std::size_t points = 0;
};

// One device or one value of the tag.
struct Series {
  std::vector<Column> columns;
  std::deque<Pane> panes;                                          // by index
  std::int64_t closed = std::numeric_limits<std::int64_t>::min();  // windows ending at pane `closed` or before are out
  WallMicros newest = std::numeric_limits<WallMicros>::min();      // event time
  WallMicros newest_ingest = 0;
};

std::int64_t floor_div(WallMicros a, WallMicros b) { return a / b - (a % b < 0 ? 1 : 0); }

std::optional<double> number_of(const Field& field, bool booleans) {
  if (const auto* number = std::get_if<double>(&field.value)) {
    return std::isfinite(*number) ? std::optional(*number) : std::nullopt;
  }
  if (const auto* integer = std::get_if<std::int64_t>(&field.value)) return static_cast<double>(*integer);
  const auto* boolean = std::get_if<bool>(&field.value);
  if (boolean != nullptr && booleans) return *boolean ? 1 : 0;
  return std::nullopt;
}

// Values of equal time keep their order of arrival.
std::vector<double> in_time_order(const std::vector<Point>& points) {
  std::vector<std::size_t> order(points.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  auto earlier = [&](std::size_t a, std::size_t b) {
    return points[a].at != points[b].at ? points[a].at < points[b].at : a < b;
  };
  if (!std::is_sorted(order.begin(), order.end(), earlier)) std::sort(order.begin(), order.end(), earlier);
  std::vector<double> values;
  values.reserve(points.size());
  for (std::size_t i : order) values.push_back(points[i].value);
  return values;
}

class Window : public ingest::Step {
 public:
  Window(Settings settings, ingest::StepContext context);
  void push(Sample sample, ingest::Output& out) override;
  void tick(WallMicros now, ingest::Output& out) override;
  void flush(ingest::Output& out) override;

 private:
  using Entry = ingest::DeviceTable<Series>::Entry;

  const std::string& key_of(const Sample& sample) const;
  bool everything() const { return settings_.outputs.empty(); }
  std::int64_t panes_per_window() const { return settings_.last / settings_.every; }
  Pane& pane_at(Series& series, std::int64_t index);
  std::size_t column_at(Series& series, std::size_t hint, const std::string& name);
  void add(Series& series, Pane& pane, Sample sample);
  void add_field(Series& series, Pane& pane, const Sample& sample, const Field& field, std::size_t hint);
  void keep(Column& column, Accumulator& accumulator, Point point);
  void close(const std::string& key, Series& series, std::int64_t until, ingest::Output& out);
  void close_all(Entry& entry, ingest::Output& out);
  void drop_front(Series& series);
  void emit(const std::string& key, const Series& series, std::int64_t end, ingest::Output& out) const;
  void fill_arrays(const Series& series, const std::vector<Accumulator>& merged, Sample& sample) const;
  void fill_aggregates(const Series& series, std::vector<Accumulator>& merged, std::uint64_t samples,
                       Sample& sample) const;

  Settings settings_;
  ingest::StepContext context_;
  std::vector<Column> columns_;  // those that `outputs` name
  ingest::DeviceTable<Series> series_;
  std::size_t points_ = 0;
};

Window::Window(Settings settings, ingest::StepContext context)
    : settings_(std::move(settings)), context_(std::move(context)) {
  for (const auto& [name, call] : settings_.outputs) {
    if (call.field.empty()) continue;
    auto known = std::find_if(columns_.begin(), columns_.end(), [&](const Column& c) { return c.name == call.field; });
    if (known == columns_.end()) known = columns_.insert(known, Column{call.field, {}, false, 0});
    known->keeps_points = known->keeps_points || call.needs_points();
  }
}

const std::string& Window::key_of(const Sample& sample) const {
  static const std::string kNone;
  if (settings_.by == Settings::By::device) return sample.device;
  for (const auto& [name, value] : sample.tags) {
    if (settings_.by == Settings::By::tag && name == settings_.tag) return value;
  }
  return kNone;
}

Pane& Window::pane_at(Series& series, std::int64_t index) {
  auto place = series.panes.end();
  while (place != series.panes.begin() && std::prev(place)->index >= index) --place;
  if (place != series.panes.end() && place->index == index) return *place;
  Pane pane;
  pane.index = index;
  return *series.panes.insert(place, std::move(pane));
}

// Fields keep their places from sample to sample, so the hint is nearly always right.
std::size_t Window::column_at(Series& series, std::size_t hint, const std::string& name) {
  if (hint < series.columns.size() && series.columns[hint].name == name) return hint;
  for (std::size_t i = 0; i < series.columns.size(); ++i) {
    if (series.columns[i].name == name) return i;
  }
  if (!everything() || series.columns.size() >= kColumnsMax) return kColumnsMax;
  series.columns.push_back({name, {}, true, 0});
  return series.columns.size() - 1;
}

void Window::keep(Column& column, Accumulator& accumulator, Point point) {
  bool room = column.points < kPointsPerFieldMax && points_ < kPointsMax;
  if (column.keeps_points && !room) {
    context_.drop();
    return;
  }
  accumulator.add(point, column.keeps_points);
  if (!column.keeps_points) return;
  ++column.points;
  ++points_;
}

void Window::add_field(Series& series, Pane& pane, const Sample& sample, const Field& field, std::size_t hint) {
  const auto* array = std::get_if<std::vector<double>>(&field.value);
  auto number = number_of(field, !everything());
  if (!number && array == nullptr) return;
  std::size_t index = column_at(series, hint, field.name);
  if (index >= series.columns.size()) return;
  if (pane.columns.size() < series.columns.size()) pane.columns.resize(series.columns.size());
  Column& column = series.columns[index];
  if (column.unit != field.unit) column.unit = field.unit;
  if (number) keep(column, pane.columns[index], {sample.event_time, *number});
  if (array == nullptr) return;
  for (double value : *array) {
    if (std::isfinite(value)) keep(column, pane.columns[index], {sample.event_time, value});
  }
}

void Window::add(Series& series, Pane& pane, Sample sample) {
  if (everything()) {
    for (std::size_t i = 0; i < sample.fields.size(); ++i) add_field(series, pane, sample, sample.fields[i], i);
  } else {
    for (std::size_t i = 0; i < series.columns.size(); ++i) {
      const Field* field = sample.find(series.columns[i].name);
      if (field != nullptr) add_field(series, pane, sample, *field, i);
    }
  }
  pane.worst = std::max(pane.worst, sample.quality);
  ++pane.samples;
  if (pane.samples == 1 || sample.event_time >= pane.latest.event_time) pane.latest = std::move(sample);
}

void Window::push(Sample sample, ingest::Output& out) {
  bool future = sample.ingest_time != 0 && sample.event_time - sample.ingest_time > kFutureMax;
  std::string key = key_of(sample);
  if (future || (settings_.by == Settings::By::tag && key.empty())) return context_.drop();
  Series& series = series_.at(key, [&](Entry& oldest) { close_all(oldest, out); });
  if (series.columns.empty()) series.columns = columns_;
  std::int64_t index = floor_div(sample.event_time, settings_.every);
  if (series.closed > std::numeric_limits<std::int64_t>::min() && index + panes_per_window() <= series.closed) {
    return context_.drop();  // every window it belongs to is out
  }
  if (sample.event_time >= series.newest) {
    series.newest = sample.event_time;
    series.newest_ingest = sample.ingest_time;
  }
  add(series, pane_at(series, index), std::move(sample));
  close(key, series, floor_div(series.newest - settings_.late, settings_.every), out);
}

void Window::drop_front(Series& series) {
  const Pane& pane = series.panes.front();
  for (std::size_t i = 0; i < pane.columns.size(); ++i) {
    series.columns[i].points -= pane.columns[i].points.size();
    points_ -= pane.columns[i].points.size();
  }
  series.panes.pop_front();
}

// Emits every window that ends at pane `until` or before and has not been.
void Window::close(const std::string& key, Series& series, std::int64_t until, ingest::Output& out) {
  if (until <= series.closed) return;
  std::int64_t panes = panes_per_window();
  while (!series.panes.empty()) {
    std::int64_t end = std::max(series.closed, series.panes.front().index) + 1;
    if (end > until) break;
    emit(key, series, end, out);
    series.closed = end;
    while (!series.panes.empty() && series.panes.front().index + panes <= end) drop_front(series);
  }
  series.closed = std::max(series.closed, until);
}

void Window::close_all(Entry& entry, ingest::Output& out) {
  Series& series = entry.state;
  if (series.panes.empty()) return;
  close(entry.device, series, series.panes.back().index + 1, out);
  while (!series.panes.empty()) drop_front(series);
}

// A silent device's clock is carried forward by the time that passed here.
void Window::tick(WallMicros now, ingest::Output& out) {
  for (Entry& entry : series_.entries()) {
    Series& series = entry.state;
    if (series.panes.empty()) continue;
    WallMicros device_now = series.newest + (now - series.newest_ingest) - kSilence;
    if (device_now <= series.newest) continue;
    close(entry.device, series, floor_div(device_now - settings_.late, settings_.every), out);
  }
}

void Window::flush(ingest::Output& out) {
  for (Entry& entry : series_.entries()) close_all(entry, out);
}

void Window::emit(const std::string& key, const Series& series, std::int64_t end, ingest::Output& out) const {
  std::vector<Accumulator> merged(series.columns.size());
  const Pane* latest = nullptr;
  std::uint64_t samples = 0;
  Sample sample;
  for (const Pane& pane : series.panes) {
    if (pane.index < end - panes_per_window() || pane.index >= end) continue;
    for (std::size_t i = 0; i < pane.columns.size(); ++i) merged[i].merge(pane.columns[i]);
    sample.quality = std::max(sample.quality, pane.worst);
    samples += pane.samples;
    latest = &pane;
  }
  if (latest == nullptr) return;
  sample.event_time = end * settings_.every;
  sample.ingest_time = series.newest_ingest;
  sample.device = settings_.by == Settings::By::all ? latest->latest.device : key;
  sample.tags = latest->latest.tags;
  if (everything()) {
    sample.fields = latest->latest.fields;
    fill_arrays(series, merged, sample);
  } else {
    fill_aggregates(series, merged, samples, sample);
  }
  out.emit(std::move(sample));
}

void Window::fill_arrays(const Series& series, const std::vector<Accumulator>& merged, Sample& sample) const {
  for (std::size_t i = 0; i < merged.size(); ++i) {
    if (merged[i].count == 0) continue;
    std::vector<double> values = in_time_order(merged[i].points);
    const Column& column = series.columns[i];
    const Field* last = sample.find(column.name);
    // The latest sample may lack the field, or have the whole array it measured.
    if (last == nullptr) sample.set(column.name, merged[i].last.value, column.unit);
    sample.set(column.name + "[]", std::move(values), column.unit);
  }
}

void Window::fill_aggregates(const Series& series, std::vector<Accumulator>& merged, std::uint64_t samples,
                             Sample& sample) const {
  for (std::size_t i = 0; i < merged.size(); ++i) {
    if (!series.columns[i].keeps_points) continue;
    std::sort(merged[i].points.begin(), merged[i].points.end(),
              [](const Point& a, const Point& b) { return a.value < b.value; });
  }
  for (const auto& [name, call] : settings_.outputs) {
    if (call.field.empty()) {
      sample.fields.push_back({name, static_cast<double>(samples), {}});
      continue;
    }
    std::size_t index = 0;
    while (series.columns[index].name != call.field) ++index;
    auto value = compute(call, merged[index]);
    if (!value) continue;
    std::string unit = call.aggregate == Aggregate::count ? std::string() : series.columns[index].unit;
    if (call.aggregate == Aggregate::rate && !unit.empty()) unit += "/s";
    sample.fields.push_back({name, *value, std::move(unit)});
  }
}

// --- configuration
// -----------------------------------------------------------------------------------------------------

void read_by(config::Map& map, Settings& settings) {
  std::string by = map.text("by", "device");
  if (by == "device") return;
  if (by == "all") {
    settings.by = Settings::By::all;
  } else if (by.starts_with("tags.") && by.size() > 5) {
    settings.by = Settings::By::tag;
    settings.tag = by.substr(5);
  } else {
    map.get("by").problem(fmt::format("'{}' is not one of device, tags.NAME, all", by));
  }
}

void read_fields(const config::Node& node, Settings& settings) {
  if (!node.present()) return;
  config::Map map = node.map();
  for (const auto& [name, entry] : map.entries()) {
    auto call = parse_aggregate(entry.text());
    if (!call) {
      entry.problem(call.error().detail);
      continue;
    }
    settings.outputs.emplace_back(name, std::move(*call));
  }
  if (settings.outputs.empty()) node.problem("makes nothing; write { vib_avg: avg(vib), n: count() } or leave it out");
  if (settings.outputs.size() > kColumnsMax) node.problem(fmt::format("has more than {} entries", kColumnsMax));
}

WallMicros micros(base::Duration duration) {
  return std::chrono::duration_cast<std::chrono::microseconds>(duration).count();
}

}  // namespace

std::unique_ptr<ingest::Step> make_window(const config::Node& node, const ingest::StepContext& context) {
  config::Map map = node.map();
  Settings settings;
  map.required("last");
  base::Duration last = map.duration("last", {});
  base::Duration every = map.duration("every", last);
  settings.last = micros(last);
  settings.every = micros(every);
  settings.late = micros(map.duration("late", {}));
  read_by(map, settings);
  read_fields(map.get("fields"), settings);
  map.done();
  constexpr WallMicros kMilli = 1000;
  if (settings.last < kMilli || settings.every < kMilli) {
    if (map.has("last")) node.problem("last and every must be at least 1ms");
    return nullptr;
  }
  if (settings.last % settings.every != 0) {
    node.problem(fmt::format("last ({}) must be a whole multiple of every ({}), for example every: {}",
                             base::format_duration(last), base::format_duration(every),
                             base::format_duration(last / std::max<std::int64_t>(1, settings.last / settings.every))));
    return nullptr;
  }
  if ((settings.last + settings.late) / settings.every > kPanesMax) {
    node.problem(fmt::format("last + late is more than {} times every; make every longer", kPanesMax));
    return nullptr;
  }
  return std::make_unique<Window>(std::move(settings), context);
}

}  // namespace penstock::ext::steps
