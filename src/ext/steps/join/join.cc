#include "ext/steps/join/join.h"

#include <deque>

#include "ingest/device_table.h"
#include "ingest/expr.h"
#include "ingest/series_key.h"
#include "ingest/shape_lookup.h"
#include "ingest/time_buffer.h"

namespace penstock::ext::steps {
namespace {

using base::WallMicros;
using ingest::Expression;
using ingest::Field;
using ingest::Sample;

constexpr std::size_t kHeldMax = 100'000;  // samples of all series, both sides
constexpr std::string_view kTooMany =
    "join: more than 10000 devices: the one silent for longest was decided before its time";

struct Settings {
  std::shared_ptr<const Expression> left;
  std::shared_ptr<const Expression> right;
  enum class Match : std::uint8_t { nearest, previous, all } match = Match::nearest;
  bool inner = true;
  WallMicros within = 0;
  WallMicros late = 0;
  std::string prefix;  // of the right side's fields
  ingest::SeriesKey by;
};

struct Series {
  std::deque<Sample> lefts;   // waiting to be matched, oldest first
  std::deque<Sample> rights;  // that may be matched still, oldest first
  ingest::SeriesClock clock;
  WallMicros decided = std::numeric_limits<WallMicros>::min();  // lefts up to here are out
};

class Join : public ingest::Step {
 public:
  Join(Settings settings, ingest::StepContext context) : settings_(std::move(settings)), context_(std::move(context)) {}

  void push(Sample sample, ingest::Output& out) override;
  void tick(WallMicros now, ingest::Output& out) override;
  void flush(ingest::Output& out) override;
  void adopt(Step& before) override;
  ingest::StepPlan plan(const ingest::Shape& in) const override;

 private:
  using Match = Settings::Match;
  static constexpr WallMicros kEnd = std::numeric_limits<WallMicros>::max();

  // How much newer than a left sample its partners may be.
  WallMicros ahead() const { return settings_.match == Match::previous ? 0 : settings_.within; }
  void decide(Series& series, WallMicros watermark, ingest::Output& out);
  void match(Series& series, Sample left, ingest::Output& out);
  void join(const Sample& left, const Sample& right, ingest::Output& out) const;
  WallMicros oldest_wanted(const Series& series, WallMicros watermark) const;
  void forget(Series& series, WallMicros watermark);
  void let_go(Series& series, WallMicros watermark) const;
  void end(Series& series, ingest::Output& out);
  void bound(Series& series, ingest::Output& out);

  Settings settings_;
  ingest::StepContext context_;
  ingest::DeviceTable<Series> series_;
  ingest::TickTime time_;
  std::size_t held_ = 0;
};

void Join::push(Sample sample, ingest::Output& out) {
  bool left = settings_.left->test(sample);
  bool right = settings_.right->test(sample);
  // It has both sides already, or belongs to neither.
  if (left == right) return out.emit(std::move(sample));
  const std::string* key = settings_.by.of(sample);
  if (key == nullptr || ingest::from_the_future(sample)) return context_.drop();
  Series& series = series_.at(*key, [&](auto& oldest) {
    context_.error(kTooMany);
    end(oldest.state, out);
  });
  if (series.clock.ran_ahead(sample, time_)) {
    end(series, out);
    series = Series();
  }
  if (left && sample.event_time < series.decided) return context_.drop();
  series.clock.note(sample, time_);
  ingest::insert_by_time(left ? series.lefts : series.rights, std::move(sample));
  ++held_;
  const WallMicros watermark = series.clock.newest - settings_.late;
  decide(series, watermark, out);
  forget(series, watermark);
  if (held_ > kHeldMax) bound(series, out);
}

// Lefts for which every partner in time must be here.
void Join::decide(Series& series, WallMicros watermark, ingest::Output& out) {
  while (!series.lefts.empty()) {
    // Partners of equal time may follow in another sample: only what is newer says that they are over.
    WallMicros needed = series.lefts.front().event_time + ahead();
    if (needed >= watermark) break;
    Sample left = std::move(series.lefts.front());
    series.lefts.pop_front();
    --held_;
    series.decided = std::max(series.decided, left.event_time);
    match(series, std::move(left), out);
  }
}

void Join::match(Series& series, Sample left, ingest::Output& out) {
  const Sample* best = nullptr;
  bool found = false;
  for (const Sample& right : series.rights) {
    WallMicros apart = right.event_time - left.event_time;
    if (apart < -settings_.within) continue;
    if (apart > ahead()) break;
    found = true;
    if (settings_.match == Match::all) join(left, right, out);
    // Of equally near ones the later in time, of equal time the later to come.
    if (best == nullptr || std::abs(apart) <= std::abs(best->event_time - left.event_time)) best = &right;
  }
  if (found && settings_.match != Match::all) join(left, *best, out);
  if (found) return;
  if (settings_.inner) return context_.drop();
  out.emit(std::move(left));
}

void Join::join(const Sample& left, const Sample& right, ingest::Output& out) const {
  Sample sample = left;
  if (settings_.match == Match::all) sample.forget_name();  // there may be more of them
  sample.ingest_time = std::max(left.ingest_time, right.ingest_time);
  sample.quality = std::max(left.quality, right.quality);
  sample.priority = std::max(left.priority, right.priority);
  ingest::ReceiptGatherer receipts;
  receipts.add(left.receipt);
  receipts.add(right.receipt);
  sample.receipt = receipts.joined();
  for (const Field& field : right.fields) {
    std::string name = settings_.prefix + field.name;
    if (left.find(name) == nullptr) sample.fields.push_back({std::move(name), field.value, field.unit});
  }
  for (const auto& tag : right.tags) {
    auto same = [&](const auto& mine) { return mine.first == tag.first; };
    if (std::none_of(left.tags.begin(), left.tags.end(), same)) sample.tags.push_back(tag);
  }
  out.emit(std::move(sample));
}

WallMicros Join::oldest_wanted(const Series& series, WallMicros watermark) const {
  return (series.lefts.empty() ? watermark : std::min(watermark, series.lefts.front().event_time)) - settings_.within;
}

// Rights that are too old for every left that waits or may come.
void Join::forget(Series& series, WallMicros watermark) {
  const WallMicros oldest = oldest_wanted(series, watermark);
  while (!series.rights.empty() && series.rights.front().event_time < oldest) {
    series.rights.pop_front();
    --held_;
  }
}

// The same as far as silence tells: a left may yet come and is matched then, but no journal waits for it.
void Join::let_go(Series& series, WallMicros watermark) const {
  const WallMicros oldest = oldest_wanted(series, watermark);
  for (Sample& right : series.rights) {
    if (right.event_time >= oldest) break;
    right.receipt.reset();
  }
}

void Join::end(Series& series, ingest::Output& out) {
  decide(series, kEnd, out);
  held_ -= series.rights.size();
  series.rights.clear();
}

// Too many are held: this series decides early, then gives up its oldest.
void Join::bound(Series& series, ingest::Output& out) {
  decide(series, series.clock.newest, out);
  forget(series, series.clock.newest);
  std::deque<Sample>& longer = series.lefts.size() > series.rights.size() ? series.lefts : series.rights;
  if (held_ <= kHeldMax || longer.empty()) return;
  longer.pop_front();
  --held_;
  context_.drop();
}

void Join::tick(WallMicros now, ingest::Output& out) {
  time_.tick(now);
  for (auto& entry : series_.entries()) {
    Series& series = entry.state;
    if (series.lefts.empty() && series.rights.empty()) continue;
    const WallMicros series_now = series.clock.at(time_);
    if (series_now <= series.clock.newest) continue;
    decide(series, series_now - settings_.late, out);
    let_go(series, series_now - settings_.late);
  }
}

void Join::flush(ingest::Output& out) {
  for (auto& entry : series_.entries()) end(entry.state, out);
}

void Join::adopt(Step& before) {
  auto* other = dynamic_cast<Join*>(&before);
  bool fits = other != nullptr && other->settings_.by == settings_.by &&
              other->settings_.left->text() == settings_.left->text() &&
              other->settings_.right->text() == settings_.right->text();
  if (!fits) return;
  series_.adopt(other->series_);
  time_ = other->time_;
  held_ = std::exchange(other->held_, 0);
}

ingest::StepPlan Join::plan(const ingest::Shape& in) const {
  ingest::StepPlan plan;
  plan.out = in;
  // A field may come with the prefix or without, by its side.
  if (!settings_.prefix.empty()) {
    for (const auto& [name, type] : in.fields) plan.out.fields.emplace(settings_.prefix + name, type);
  }
  ingest::check_names(in, *settings_.left, plan.problems);
  ingest::check_names(in, *settings_.right, plan.problems);
  plan.out.samples_per_second = settings_.match == Match::all ? std::nullopt : in.samples_per_second;
  plan.memory_bytes_max = kHeldMax * ingest::held_bytes(in) + ingest::kDevicesPerStepMax * (sizeof(Series) + 1280);
  return plan;
}

std::shared_ptr<const Expression> side(config::Map& map, std::string_view key) {
  config::Node node = map.required(key);
  if (!node.present()) return nullptr;
  auto expression = Expression::compile(node, Expression::Wants::condition);
  return expression ? std::make_shared<const Expression>(std::move(*expression)) : nullptr;
}

}  // namespace

std::unique_ptr<ingest::Step> make_join(const config::Node& node, const ingest::StepContext& context) {
  config::Map map = node.map();
  Settings settings;
  auto micros = [](base::Duration duration) {
    return std::chrono::duration_cast<std::chrono::microseconds>(duration).count();
  };
  settings.left = side(map, "left");
  settings.right = side(map, "right");
  map.required("within");
  settings.within = micros(map.duration("within", {}));
  settings.late = micros(map.duration("late", {}));
  settings.inner = map.choice("type", {"inner", "left"}, "inner") == "inner";
  std::string match = map.choice("match", {"nearest", "previous", "all"}, "nearest");
  settings.match = match == "nearest"    ? Settings::Match::nearest
                   : match == "previous" ? Settings::Match::previous
                                         : Settings::Match::all;
  settings.prefix = map.text("prefix");
  settings.by = ingest::SeriesKey::read(map);
  map.done();
  if (map.has("within") && settings.within <= 0) node.problem("within must be more than 0; write within: 500ms");
  if (!settings.left || !settings.right || settings.within <= 0) return nullptr;
  return std::make_unique<Join>(std::move(settings), context);
}

}  // namespace penstock::ext::steps
