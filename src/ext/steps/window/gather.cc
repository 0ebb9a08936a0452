#include "ext/steps/window/gather.h"

#include <cmath>

#include "ingest/shape_lookup.h"
#include "ingest/time_buffer.h"
#include "ingest/unit.h"

namespace penstock::ext::steps {
namespace {

using ingest::Field;
using ingest::FieldType;
using ingest::Sample;

std::optional<double> number_of(const Field& field, bool booleans) {
  if (const auto* number = std::get_if<double>(&field.value)) {
    return std::isfinite(*number) ? std::optional(*number) : std::nullopt;
  }
  if (const auto* integer = std::get_if<std::int64_t>(&field.value)) return static_cast<double>(*integer);
  const auto* boolean = std::get_if<bool>(&field.value);
  if (boolean != nullptr && booleans) return *boolean ? 1 : 0;
  return std::nullopt;
}

double seconds(base::WallMicros at) { return static_cast<double>(at) / 1e6; }

}  // namespace

void Piece::merge_figures(const Piece& later) {
  if (later.samples == 0) return;
  from = samples == 0 ? later.from : std::min(from, later.from);
  to = samples == 0 ? later.to : std::max(to, later.to);
  worst = std::max(worst, later.worst);
  samples += later.samples;
  if (columns.size() < later.columns.size()) columns.resize(later.columns.size());
  for (std::size_t i = 0; i < later.columns.size(); ++i) columns[i].merge_figures(later.columns[i]);
}

void Piece::append_points(const Piece& later) {
  if (columns.size() < later.columns.size()) columns.resize(later.columns.size());
  for (std::size_t i = 0; i < later.columns.size(); ++i) {
    const std::vector<Point>& points = later.columns[i].points;
    columns[i].points.insert(columns[i].points.end(), points.begin(), points.end());
  }
}

Gatherer::Gatherer(Settings settings, ingest::StepContext context)
    : settings_(std::move(settings)), context_(std::move(context)) {
  for (const auto& [name, call] : settings_.outputs) {
    merges_ = merges_ || call.aggregate == Aggregate::merge_agg;
    if (call.field.empty()) continue;
    auto known = std::find_if(columns_.begin(), columns_.end(), [&](const Column& c) { return c.name == call.field; });
    if (known == columns_.end())
      known = columns_.insert(known, Column{call.field, {}, call.expression.get(), false, 0});
    known->keeps_points = known->keeps_points || call.needs_points();
  }
}

bool Gatherer::keeps_points() const {
  return everything() ||
         std::any_of(columns_.begin(), columns_.end(), [](auto& column) { return column.keeps_points; });
}

bool Gatherer::wants(const Sample& sample) const {
  if (settings_.where && !settings_.where->test(sample)) return false;
  if (!ingest::from_the_future(sample)) return true;
  context_.drop();
  return false;
}

void Gatherer::tell_too_many() const {
  context_.error(fmt::format("window: more than {} series: the one silent for longest was told before its time",
                             settings_.devices));
}

// Fields keep their places from sample to sample, so the hint is nearly always right.
std::size_t Gatherer::column_at(std::vector<Column>& columns, std::size_t hint, const std::string& name) {
  if (hint < columns.size() && columns[hint].name == name) return hint;
  for (std::size_t i = 0; i < columns.size(); ++i) {
    if (columns[i].name == name) return i;
  }
  if (columns.size() >= kColumnsMax) return kColumnsMax;
  columns.push_back({name, {}, nullptr, true, 0});
  return columns.size() - 1;
}

void Gatherer::keep(Column& column, Accumulator& figures, Point point) {
  bool room = column.points < kPointsPerFieldMax && points_ < kPointsMax;
  if (column.keeps_points && !room) {
    context_.drop();
    return;
  }
  figures.add(point, column.keeps_points);
  if (!column.keeps_points) return;
  ++column.points;
  ++points_;
}

namespace {

// A device that changes its unit goes on in the first one where that can be converted, else the new one is taken.
auto in_unit_of(Column& column, const Field& field) {
  const ingest::Unit* from = nullptr;
  const ingest::Unit* to = nullptr;
  if (column.unit != field.unit && !field.unit.empty()) {
    if (!column.unit.empty()) from = ingest::find_unit(field.unit);
    if (from != nullptr) to = ingest::find_unit(column.unit);
    if (to == nullptr || to->dimension != from->dimension) {
      column.unit = field.unit;
      from = nullptr;
    }
  }
  return [from, to](double value) { return from == nullptr ? value : ingest::convert(value, *from, *to); };
}

}  // namespace

void Gatherer::add_value(Column& column, Accumulator& figures, const Sample& sample, const Field& field) {
  const auto unified = in_unit_of(column, field);
  if (auto number = number_of(field, !everything()))
    return keep(column, figures, {sample.event_time, unified(*number)});
  if (const auto* array = std::get_if<std::vector<double>>(&field.value)) {
    for (double value : *array) {
      if (std::isfinite(value)) keep(column, figures, {sample.event_time, unified(value)});
    }
  } else if (std::holds_alternative<std::string>(field.value)) {
    ++figures.others;
  }
}

void Gatherer::add_term(Column& column, Accumulator& figures, const Sample& sample) {
  using Kind = ingest::Term::Kind;
  ingest::Term term = column.expression->evaluate(sample);
  if (term.kind == Kind::text) ++figures.others;
  if (term.kind == Kind::boolean) keep(column, figures, {sample.event_time, term.boolean ? 1.0 : 0.0});
  if (term.kind == Kind::number && std::isfinite(term.number)) {
    if (column.unit != term.unit_name) column.unit = term.unit_name;
    keep(column, figures, {sample.event_time, term.number});
  }
  if (term.kind != Kind::array) return;
  for (double value : term.array) {
    if (std::isfinite(value)) keep(column, figures, {sample.event_time, value});
  }
}

void Gatherer::add(std::vector<Column>& columns, Piece& piece, const Sample& sample) {
  piece.columns.reserve(columns.size());
  auto figures = [&](std::size_t index) -> Accumulator& {
    if (piece.columns.size() < columns.size()) piece.columns.resize(columns.size());
    return piece.columns[index];
  };
  if (everything()) {
    for (std::size_t i = 0; i < sample.fields.size(); ++i) {
      const Field& field = sample.fields[i];
      if (!number_of(field, false) && !std::holds_alternative<std::vector<double>>(field.value)) continue;
      std::size_t index = column_at(columns, i, field.name);
      if (index < columns.size()) add_value(columns[index], figures(index), sample, field);
    }
  } else {
    for (std::size_t i = 0; i < columns.size(); ++i) {
      if (columns[i].expression != nullptr) {
        add_term(columns[i], figures(i), sample);
      } else if (const Field* field = sample.find(columns[i].name)) {
        add_value(columns[i], figures(i), sample, *field);
      }
    }
  }
  piece.from = piece.samples == 0 ? sample.event_time : std::min(piece.from, sample.event_time);
  piece.to = piece.samples == 0 ? sample.event_time : std::max(piece.to, sample.event_time);
  piece.worst = std::max(piece.worst, sample.quality);
  ++piece.samples;
}

void Gatherer::keep_latest(Sample& latest, bool first, Sample sample) const {
  bool newer = first || sample.event_time >= latest.event_time;
  if (!newer && !merges_) return;
  Sample other;
  if (newer) other = std::exchange(latest, std::move(sample));
  if (newer) latest.receipt.reset();
  if (!merges_ || first) return;
  for (Field& field : newer ? other.fields : sample.fields) {
    if (latest.find(field.name) == nullptr) latest.fields.push_back(std::move(field));
  }
}

void Gatherer::forget(std::vector<Column>& columns, const Piece& piece) {
  for (std::size_t i = 0; i < piece.columns.size(); ++i) {
    columns[i].points -= piece.columns[i].points.size();
    points_ -= piece.columns[i].points.size();
  }
}

Sample Gatherer::tell(const std::vector<Column>& columns, Piece& whole, const Report& report) const {
  Sample sample;
  sample.event_time = report.at;
  sample.ingest_time = report.ingest_time;
  sample.quality = whole.worst;
  sample.device = settings_.by.all() ? report.latest->device : *report.device;
  sample.tags = report.latest->tags;
  sample.receipt = report.receipt;
  if (everything() || merges_) sample.fields = report.latest->fields;
  if (everything()) {
    tell_arrays(columns, whole, sample);
  } else {
    tell_aggregates(columns, whole, report, sample);
  }
  return sample;
}

void Gatherer::tell_arrays(const std::vector<Column>& columns, Piece& whole, Sample& sample) const {
  for (std::size_t i = 0; i < whole.columns.size(); ++i) {
    Accumulator& figures = whole.columns[i];
    if (figures.count == 0) continue;
    sort_by_time(figures.points);
    std::vector<double> values;
    values.reserve(figures.points.size());
    for (const Point& point : figures.points) values.push_back(point.value);
    // The latest sample may lack the field, or have the whole array it measured.
    if (sample.find(columns[i].name) == nullptr) sample.set(columns[i].name, figures.last.value, columns[i].unit);
    sample.set(columns[i].name + "[]", std::move(values), columns[i].unit);
  }
}

void Gatherer::tell_aggregates(const std::vector<Column>& columns, Piece& whole, const Report& report,
                               Sample& sample) const {
  whole.columns.resize(columns.size());
  sample.fields.reserve(sample.fields.size() + settings_.outputs.size());
  // Arrays want the order of time, percentiles that of value: one pass for each.
  for (bool by_value : {false, true}) {
    for (const auto& [name, call] : settings_.outputs) {
      if (wants_sorted_values(call) != by_value || call.aggregate == Aggregate::merge_agg) continue;
      std::size_t index = 0;
      while (!call.field.empty() && columns[index].name != call.field) ++index;
      if (call.field.empty()) {
        double value = call.aggregate == Aggregate::count          ? static_cast<double>(whole.samples)
                       : call.aggregate == Aggregate::window_start ? seconds(report.start)
                                                                   : seconds(report.end);
        sample.set(name, value, call.aggregate == Aggregate::count ? "" : "s");
        continue;
      }
      Accumulator& figures = whole.columns[index];
      if (by_value) sort_by_value(figures.points);
      if (call.makes_array()) sort_by_time(figures.points);
      if (auto value = compute(call, figures)) {
        sample.set(name, std::move(*value), call.unit(columns[index].unit));
      } else if (const Field* newest = report.latest->find(call.field);
                 newest != nullptr && call.aggregate == Aggregate::last) {
        sample.set(name, newest->value, newest->unit);
      }
    }
  }
}

// --- hot swap --------------------------------------------------------------------------------------------------------

std::optional<std::vector<std::size_t>> Gatherer::fitting(const Gatherer& other) const {
  std::vector<std::size_t> places;
  if (everything() != other.everything()) return std::nullopt;
  for (const Column& column : columns_) {
    auto found = std::find_if(other.columns_.begin(), other.columns_.end(), [&](const Column& theirs) {
      return theirs.name == column.name && theirs.keeps_points >= column.keeps_points;
    });
    if (found == other.columns_.end()) return std::nullopt;
    places.push_back(static_cast<std::size_t>(found - other.columns_.begin()));
  }
  return places;
}

void Gatherer::adopt_piece(Piece& piece, const std::vector<std::size_t>& places) const {
  if (everything()) return;
  std::vector<Accumulator> mine(places.size());
  for (std::size_t i = 0; i < places.size(); ++i) {
    if (places[i] < piece.columns.size()) mine[i] = std::move(piece.columns[places[i]]);
    if (!columns_[i].keeps_points) mine[i].points.clear();
  }
  piece.columns = std::move(mine);
}

void Gatherer::adopt_columns(std::vector<Column>& columns, Gatherer& other, const std::vector<std::size_t>& places) {
  for (const Column& column : columns) other.points_ -= column.points;
  if (!everything()) {
    std::vector<Column> mine = columns_;
    for (std::size_t i = 0; i < places.size() && !columns.empty(); ++i) {
      mine[i].unit = columns[places[i]].unit;
      mine[i].points = mine[i].keeps_points ? columns[places[i]].points : 0;
    }
    columns = std::move(mine);
  }
  for (const Column& column : columns) points_ += column.points;
}

// --- the plan --------------------------------------------------------------------------------------------------------

FieldType Gatherer::type_of_output(const AggregateCall& call, const ingest::Shape& in,
                                   std::vector<std::string>& problems) const {
  using Kind = FieldType::Kind;
  bool any = call.aggregate == Aggregate::last || call.aggregate == Aggregate::count;
  FieldType from;
  if (call.expression) {
    ingest::check_names(in, *call.expression, problems);
  } else if (!call.field.empty()) {
    from = any ? ingest::type_of(in, call.field, problems) : ingest::numeric_type_of(in, call.field, problems);
  } else if (call.aggregate != Aggregate::count) {
    from.unit = "s";
  }
  if (call.aggregate == Aggregate::last && from.kind == Kind::text) return from;
  if (call.aggregate == Aggregate::last && from.kind == Kind::unknown) return from;
  return {call.makes_array() ? Kind::array : Kind::number, call.unit(from.unit)};
}

std::uint32_t Gatherer::longest(const FieldType& of, std::optional<double> samples) {
  constexpr auto kMost = static_cast<double>(kPointsPerFieldMax);
  const double values = samples.value_or(kMost) * static_cast<double>(std::max<std::uint64_t>(1, array_values(of)));
  return static_cast<std::uint32_t>(std::min(kMost, values));
}

ingest::StepPlan Gatherer::plan(const ingest::Shape& in, const Extent& extent) const {
  using Kind = FieldType::Kind;
  ingest::StepPlan plan;
  plan.out.open = everything() || merges_ ? in.open : false;
  if (everything() || merges_) plan.out.fields = in.fields;
  if (everything()) {
    for (const auto& [name, type] : in.fields) {
      if (type.kind != Kind::number && type.kind != Kind::array) continue;
      plan.out.fields[name + "[]"] = {Kind::array, type.unit, longest(type, extent.samples)};
    }
  }
  for (const auto& [name, call] : settings_.outputs) {
    if (call.aggregate == Aggregate::merge_agg) continue;
    FieldType& type = plan.out.fields[name] = type_of_output(call, in, plan.problems);
    const auto from = in.fields.find(call.field);
    if (call.makes_array())
      type.longest = longest(from == in.fields.end() ? FieldType() : from->second, extent.samples);
  }
  for (const auto* one : {settings_.where.get(), settings_.begin.get(), settings_.emit.get()}) {
    if (one != nullptr) ingest::check_names(in, *one, plan.problems);
  }
  std::uint64_t columns = everything() ? (in.open ? kColumnsMax : in.fields.size()) : columns_.size();
  std::uint64_t pieces = std::min<std::uint64_t>(settings_.devices * extent.pieces, kPiecesMax);
  plan.memory_bytes_max = settings_.devices * (columns * sizeof(Column) + 512) +
                          pieces * (sizeof(Piece) + columns * sizeof(Accumulator) +
                                    (extent.latest_per_piece ? ingest::held_bytes(in) : 0)) +
                          (extent.latest_per_piece ? 0 : settings_.devices * ingest::held_bytes(in)) +
                          (settings_.late > 0 && extent.samples_wait ? kWaitingMax * ingest::held_bytes(in) : 0);
  std::uint64_t keeping = everything() ? columns : 0;
  for (const Column& column : columns_) keeping += column.keeps_points ? 1 : 0;
  // Vectors grow by doubling, and a window is put together from its pieces.
  const std::uint64_t points = std::min<std::uint64_t>(kPointsMax, settings_.devices * keeping * kPointsPerFieldMax);
  plan.memory_bytes_max += (2 * points + kPointsPerFieldMax * keeping) * sizeof(Point);
  return plan;
}

}  // namespace penstock::ext::steps
