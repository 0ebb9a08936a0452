#include "ext/steps/anonymise/anonymise.h"

#include <cmath>

#include "ingest/alarm_reason.h"
#include "ingest/device_name.h"
#include "ingest/field_access.h"

namespace penstock::ext::steps {
namespace {

using ingest::NamePattern;
using ingest::Sample;

struct Settings {
  std::vector<NamePattern> drop;                             // fields and tags
  std::vector<std::pair<NamePattern, std::size_t>> mask;     // characters left at the end
  std::vector<std::pair<NamePattern, std::int64_t>> digits;  // decimal places kept
  base::WallMicros time = 0;                                 // event time cut to multiples of it; 0: as it is
  bool device = false;                                       // the device becomes "anonymous"
};

// Characters are code points, so that the rest stays UTF-8.
std::string masked(const std::string& text, std::size_t left) {
  const auto begins = [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; };
  const auto count = static_cast<std::size_t>(std::count_if(text.begin(), text.end(), begins));
  std::string result;
  std::size_t at = 0;
  for (char c : text) {
    at += begins(c) ? 1 : 0;
    if (at + left > count) {
      result += c;
    } else if (begins(c)) {
      result += '*';
    }
  }
  return count <= left ? std::string(count, '*') : result;
}

double rounded(double value, std::int64_t digits) {
  const double scale = std::pow(10.0, static_cast<double>(digits));
  const double result = std::round(value * scale) / scale;
  return std::isfinite(result) ? result : value;
}

class Anonymise : public ingest::Step {
 public:
  explicit Anonymise(Settings settings) : settings_(std::move(settings)) {}

  void push(Sample sample, ingest::Output& out) override {
    const auto dropped = [this](const std::string& name) { return find_match(settings_.drop, name) != nullptr; };
    std::erase_if(sample.fields, [&](const ingest::Field& field) { return dropped(field.name); });
    std::erase_if(sample.tags, [&](const auto& tag) { return dropped("tags." + tag.first); });
    for (ingest::Field& field : sample.fields) change(field);
    for (auto& [name, value] : sample.tags) {
      if (const auto* left = find(settings_.mask, "tags." + name)) value = masked(value, *left);
    }
    if (settings_.time > 0) cut_times(sample);
    if (settings_.device) ingest::rename_device(sample, [](const std::string&) { return std::string("anonymous"); });
    if (!settings_.drop.empty() || !settings_.mask.empty() || !settings_.digits.empty()) {
      ingest::withhold_reason(sample);
    }
    out.emit(std::move(sample));
  }

  ingest::StepPlan plan(const ingest::Shape& in) const override {
    ingest::StepPlan plan{.out = in, .problems = {}};
    std::erase_if(plan.out.fields,
                  [this](const auto& field) { return find_match(settings_.drop, field.first) != nullptr; });
    const auto look = [&](const NamePattern& pattern) {
      if (pattern.text().starts_with("tags.")) return;
      if (auto problem = missing_field(in, pattern); !problem.empty()) plan.problems.push_back(std::move(problem));
    };
    for (const auto& pattern : settings_.drop) look(pattern);
    for (const auto& [pattern, left] : settings_.mask) look(pattern);
    for (const auto& [pattern, digits] : settings_.digits) look(pattern);
    for (auto& [name, type] : plan.out.fields) {
      if (find(settings_.mask, name) != nullptr) type = {ingest::FieldType::Kind::text, ""};
    }
    return plan;
  }

 private:
  // Towards the past, also before 1970.
  base::WallMicros coarse(base::WallMicros at) const {
    return at - ((at % settings_.time) + settings_.time) % settings_.time;
  }

  void cut_times(Sample& sample) const {
    sample.event_time = coarse(sample.event_time);
    if (!sample.alarm) return;
    auto alarm = std::make_shared<ingest::AlarmChange>(*sample.alarm);
    alarm->at = coarse(alarm->at);
    sample.alarm = std::move(alarm);
  }

  template <class T>
  static const T* find(const std::vector<std::pair<NamePattern, T>>& rules, std::string_view name) {
    for (const auto& [pattern, what] : rules) {
      if (pattern.match(name)) return &what;
    }
    return nullptr;
  }

  void change(ingest::Field& field) const {
    if (const auto* digits = find(settings_.digits, field.name)) {
      if (auto* array = std::get_if<std::vector<double>>(&field.value)) {
        for (double& one : *array) one = rounded(one, *digits);
      } else if (!std::holds_alternative<std::string>(field.value)) {
        field.value = rounded(ingest::number_of(field.value), *digits);
      }
    }
    const auto* left = find(settings_.mask, field.name);
    if (left == nullptr) return;
    // Whatever it is, it must not be read: a number or an array becomes a text of stars too.
    const auto* text = std::get_if<std::string>(&field.value);
    const auto* whole = std::get_if<std::int64_t>(&field.value);
    field.value = text != nullptr    ? masked(*text, *left)
                  : whole != nullptr ? masked(fmt::format("{}", *whole), *left)
                                     : std::string("*");
    field.unit.clear();
  }

  Settings settings_;
};

template <class T>
std::vector<std::pair<NamePattern, T>> read_rules(const config::Node& node, std::int64_t least, std::int64_t most) {
  std::vector<std::pair<NamePattern, T>> rules;
  if (!node.present()) return rules;
  for (const auto& [name, entry] : node.map().entries()) {
    if (auto pattern = NamePattern::read(name, entry)) {
      rules.emplace_back(std::move(*pattern), static_cast<T>(entry.integer(0, least, most)));
    }
  }
  return rules;
}

}  // namespace

std::unique_ptr<ingest::Step> make_anonymise(const config::Node& node, const ingest::StepContext&) {
  config::Map map = node.map();
  Settings settings;
  settings.drop = ingest::read_patterns(map.get("drop"));
  settings.mask = read_rules<std::size_t>(map.get("mask"), 0, 64);
  settings.digits = read_rules<std::int64_t>(map.get("round"), -9, 9);
  settings.time = std::chrono::duration_cast<std::chrono::microseconds>(map.duration("time", {})).count();
  settings.device = map.boolean("device", false);
  map.done();
  const bool nothing = settings.drop.empty() && settings.mask.empty() && settings.digits.empty() &&
                       settings.time == 0 && !settings.device;
  if (nothing) {
    node.problem(
        "hides nothing; write { drop: [operator], mask: { badge: 2 }, round: { lat: 2 }, time: 1h, device: true }");
    return nullptr;
  }
  return std::make_unique<Anonymise>(std::move(settings));
}

}  // namespace penstock::ext::steps
