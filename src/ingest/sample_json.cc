#include "ingest/sample_json.h"

#include <cmath>

#include "ingest/device_check.h"

namespace penstock::ingest {
namespace {

constexpr int kNestedMax = 16;

std::string_view view(const boost::json::string& text) { return {text.data(), text.size()}; }
std::string_view view(boost::json::string_view text) { return {text.data(), text.size()}; }

void append_number(std::string& out, double number) {
  if (std::isfinite(number)) {
    fmt::format_to(std::back_inserter(out), "{}", number);
  } else {
    out += "null";  // JSON has no other way to say it
  }
}

void append_value(std::string& out, const Value& value) {
  if (const auto* boolean = std::get_if<bool>(&value)) {
    out += *boolean ? "true" : "false";
  } else if (const auto* integer = std::get_if<std::int64_t>(&value)) {
    fmt::format_to(std::back_inserter(out), "{}", *integer);
  } else if (const auto* number = std::get_if<double>(&value)) {
    append_number(out, *number);
  } else if (const auto* text = std::get_if<std::string>(&value)) {
    json::append_quoted(out, *text);
  } else if (const auto* array = std::get_if<std::vector<double>>(&value)) {
    out += '[';
    for (std::size_t i = 0; i < array->size(); ++i) {
      if (i > 0) out += ',';
      append_number(out, (*array)[i]);
    }
    out += ']';
  }
}

void append_units(std::string& out, const Sample& sample) {
  bool any = false;
  for (const Field& field : sample.fields) {
    if (field.unit.empty()) continue;
    out += any ? "," : ",\"units\":{";
    any = true;
    json::append_quoted(out, field.name);
    out += ':';
    json::append_quoted(out, field.unit);
  }
  if (any) out += '}';
}

void append_tags(std::string& out, const Sample& sample) {
  if (sample.tags.empty()) return;
  out += ",\"tags\":{";
  for (std::size_t i = 0; i < sample.tags.size(); ++i) {
    if (i > 0) out += ',';
    json::append_quoted(out, sample.tags[i].first);
    out += ':';
    json::append_quoted(out, sample.tags[i].second);
  }
  out += '}';
}

void append_alarm(std::string& out, const AlarmChange& change) {
  out += "{\"name\":";
  json::append_quoted(out, change.name);
  out += change.raised ? ",\"raised\":true,\"severity\":" : ",\"raised\":false,\"severity\":";
  json::append_quoted(out, change.severity);
  out += ",\"pipeline\":";
  json::append_quoted(out, change.pipeline);
  out += ",\"device\":";
  json::append_quoted(out, change.device);
  out += ",\"at\":\"";
  append_time(out, change.at);
  out += "\",\"why\":";
  json::append_quoted(out, change.why);
  out += '}';
}

// --- reading ---------------------------------------------------------------------------------------------------------

Result<void> bad(std::string_view name, std::string_view what) {
  return fail(Errc::invalid_argument, fmt::format("'{}' {}", name, what));
}

bool all_numbers(const json::Array& array) {
  return std::all_of(array.begin(), array.end(),
                     [](const json::Value& item) { return item.is_number() || item.is_null(); });
}

Result<void> add_field(Sample& sample, std::string_view name, Value value) {
  if (sample.fields.size() >= kSampleFieldsMax) {
    return bad(name, fmt::format("is one field too many: a sample has at most {}", kSampleFieldsMax));
  }
  sample.fields.push_back({std::string(name), std::move(value), {}});
  return {};
}

Result<void> read_member(Sample& sample, std::string_view name, const json::Value& value, int depth) {
  if (depth > kNestedMax) return bad(name, "is nested too deep");
  switch (value.kind()) {
    case boost::json::kind::null: return {};
    case boost::json::kind::bool_: return add_field(sample, name, value.get_bool());
    case boost::json::kind::int64: return add_field(sample, name, value.get_int64());
    case boost::json::kind::uint64: return add_field(sample, name, static_cast<double>(value.get_uint64()));
    case boost::json::kind::double_: return add_field(sample, name, value.get_double());
    case boost::json::kind::string: return add_field(sample, name, std::string(view(value.get_string())));
    case boost::json::kind::object:
      for (const auto& member : value.get_object()) {
        auto read = read_member(sample, fmt::format("{}.{}", name, view(member.key())), member.value(), depth + 1);
        if (!read) return read;
      }
      return {};
    case boost::json::kind::array: break;
  }
  const json::Array& array = value.get_array();
  if (array.size() > kSampleArrayMax) return bad(name, fmt::format("has more than {} elements", kSampleArrayMax));
  if (all_numbers(array)) {
    std::vector<double> numbers;
    numbers.reserve(array.size());
    for (const json::Value& item : array) {
      numbers.push_back(item.is_null() ? std::nan("") : item.to_number<double>());
    }
    return add_field(sample, name, std::move(numbers));
  }
  for (std::size_t i = 0; i < array.size(); ++i) {
    auto read = read_member(sample, fmt::format("{}.{}", name, i), array[i], depth + 1);
    if (!read) return read;
  }
  return {};
}

Result<void> read_time(Sample& sample, std::string_view name, const json::Value& value) {
  Result<base::WallMicros> time = fail(Errc::invalid_argument, "is neither a text nor a number");
  if (value.is_string()) time = parse_time(view(value.get_string()));
  if (value.is_number()) time = time_from_epoch(value.to_number<double>());
  if (!time) return bad(name, time.error().detail);
  sample.event_time = *time;
  return {};
}

Result<void> read_quality(Sample& sample, const json::Value& value) {
  std::string_view text = value.is_string() ? view(value.get_string()) : std::string_view();
  if (text == "good") {
    sample.quality = Quality::good;
  } else if (text == "uncertain") {
    sample.quality = Quality::uncertain;
  } else if (text == "bad") {
    sample.quality = Quality::bad;
  } else {
    return bad("quality", "is not one of \"good\", \"uncertain\", \"bad\"");
  }
  return {};
}

// What a durable buffer of another gateway said; both or none, so that fields of these names stay fields.
bool read_name(Sample& sample, const json::Object& object) {
  const json::Value* sequence = object.if_contains("seq");
  const json::Value* origin = object.if_contains("origin");
  if (sequence == nullptr || origin == nullptr || !sequence->is_int64() || !origin->is_string()) return false;
  if (sequence->get_int64() <= 0) return false;
  sample.sequence = static_cast<std::uint64_t>(sequence->get_int64());
  sample.origin = std::make_shared<const std::string>(view(origin->get_string()));
  return true;
}

void read_tags(Sample& sample, const json::Object& tags) {
  for (const auto& tag : tags) {
    if (sample.tags.size() >= kSampleFieldsMax) return;
    std::string text = tag.value().is_string() ? std::string(view(tag.value().get_string())) : json::dump(tag.value());
    sample.tags.emplace_back(std::string(view(tag.key())), std::move(text));
  }
}

void read_units(Sample& sample, const json::Object& units) {
  for (const auto& unit : units) {
    for (Field& field : sample.fields) {
      if (field.name == view(unit.key()) && unit.value().is_string()) field.unit = view(unit.value().get_string());
    }
  }
}

Result<std::vector<Sample>> from_lines(std::string_view text, const SampleDefaults& defaults) {
  std::vector<Sample> samples;
  std::size_t line_number = 0;
  while (!text.empty()) {
    std::size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    ++line_number;
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    auto value = json::parse(line);
    if (!value) return fail(Errc::invalid_argument, fmt::format("line {}: {}", line_number, value.error().detail));
    auto sample = sample_from_json(*value, defaults);
    if (!sample) return fail(sample.error().code, fmt::format("line {}: {}", line_number, sample.error().detail));
    if (samples.size() >= kSamplesPerMessageMax) {
      return fail(Errc::out_of_range, fmt::format("line {}: a message holds at most {} samples; send more messages",
                                                  line_number, kSamplesPerMessageMax));
    }
    samples.push_back(std::move(*sample));
  }
  return samples;
}

}  // namespace

void append_json(std::string& out, const Sample& sample) {
  out += "{\"time\":\"";
  append_time(out, sample.event_time);
  out += "\",\"device\":";
  json::append_quoted(out, sample.device);
  if (sample.quality != Quality::good) {
    out += sample.quality == Quality::bad ? ",\"quality\":\"bad\"" : ",\"quality\":\"uncertain\"";
  }
  for (const Field& field : sample.fields) {
    out += ',';
    json::append_quoted(out, field.name);
    out += ':';
    append_value(out, field.value);
  }
  append_units(out, sample);
  append_tags(out, sample);
  if (sample.alarm) {
    out += ",\"alarm\":";
    append_alarm(out, *sample.alarm);
  }
  if (sample.sequence != 0 && sample.origin) {
    fmt::format_to(std::back_inserter(out), ",\"seq\":{},\"origin\":", sample.sequence);
    json::append_quoted(out, *sample.origin);
  }
  out += '}';
}

std::string to_json(const Sample& sample) {
  std::string out;
  append_json(out, sample);
  return out;
}

std::string to_json(const AlarmChange& change) {
  std::string out;
  append_alarm(out, change);
  return out;
}

Result<Sample> sample_from_json(const json::Value& value, const SampleDefaults& defaults) {
  const json::Object* object = value.if_object();
  if (object == nullptr)
    return fail(Errc::invalid_argument, "expected a JSON object with one member per measured value");
  Sample sample;
  sample.event_time = sample.ingest_time = defaults.now;
  sample.device = defaults.device;
  sample.fields.reserve(object->size());
  const json::Object* units = nullptr;
  const bool named = read_name(sample, *object);
  for (const auto& member : *object) {
    std::string_view name = view(member.key());
    Result<void> read;
    if (name == "time" || name == "timestamp") {
      read = read_time(sample, name, member.value());
    } else if (name == "device" && member.value().is_string()) {
      sample.device = view(member.value().get_string());
      if (!sample.device.empty()) read = check_device(sample.device);
    } else if (name == "quality" && member.value().is_string()) {
      read = read_quality(sample, member.value());
    } else if (name == "tags" && member.value().is_object()) {
      read_tags(sample, member.value().get_object());
    } else if (name == "units" && member.value().is_object()) {
      units = &member.value().get_object();
    } else if (named && (name == "seq" || name == "origin")) {
      continue;
    } else {
      read = read_member(sample, name, member.value(), 0);
    }
    if (!read) return std::unexpected(read.error());
  }
  if (units != nullptr) read_units(sample, *units);
  return sample;
}

Result<std::vector<Sample>> samples_from_json(std::string_view text, const SampleDefaults& defaults) {
  std::size_t first = text.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos) return fail(Errc::invalid_argument, "the message is empty; expected JSON");
  std::size_t line_end = text.find('\n', first);
  // One document over several lines, or one per line? A first line that is complete by itself decides.
  if (text[first] == '{' && line_end != std::string_view::npos &&
      text.find_first_not_of(" \t\r\n", line_end) != std::string_view::npos &&
      json::parse(text.substr(first, line_end - first)).has_value()) {
    return from_lines(text, defaults);
  }
  auto value = json::parse(text);
  if (!value) return std::unexpected(value.error());
  std::vector<Sample> samples;
  if (const json::Array* array = value->if_array()) {
    if (array->size() > kSamplesPerMessageMax) {
      return fail(Errc::out_of_range,
                  fmt::format("a message holds at most {} samples; send more messages", kSamplesPerMessageMax));
    }
    for (std::size_t i = 0; i < array->size(); ++i) {
      auto sample = sample_from_json((*array)[i], defaults);
      if (!sample) return fail(sample.error().code, fmt::format("element {}: {}", i, sample.error().detail));
      samples.push_back(std::move(*sample));
    }
    return samples;
  }
  auto sample = sample_from_json(*value, defaults);
  if (!sample) return std::unexpected(sample.error());
  samples.push_back(std::move(*sample));
  return samples;
}

}  // namespace penstock::ingest
