#include "ingest/line_protocol.h"

#include <charconv>

#include "ingest/device_check.h"

namespace penstock::ingest {
namespace {

std::unexpected<Error> bad(std::string what) { return fail(Errc::invalid_argument, std::move(what)); }

// Up to the first of `ends` that has no backslash before it; a backslash before one of `escaped` is left out.
std::string take_name(std::string_view& text, std::string_view ends, std::string_view escaped) {
  std::string name;
  while (!text.empty() && ends.find(text.front()) == std::string_view::npos) {
    if (text.front() == '\\' && text.size() > 1 && escaped.find(text[1]) != std::string_view::npos) {
      text.remove_prefix(1);
    }
    name += text.front();
    text.remove_prefix(1);
  }
  return name;
}

bool take(std::string_view& text, char c) {
  if (!text.starts_with(c)) return false;
  text.remove_prefix(1);
  return true;
}

template <class T>
bool read_number(std::string_view text, T& out) {
  auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), out);
  return ec == std::errc{} && end == text.data() + text.size() && !text.empty();
}

Result<Value> plain_value(std::string_view text) {
  if (text == "t" || text == "T" || text == "true" || text == "True" || text == "TRUE") return Value(true);
  if (text == "f" || text == "F" || text == "false" || text == "False" || text == "FALSE") return Value(false);
  if (text.ends_with('i')) {
    std::int64_t number = 0;
    if (read_number(text.substr(0, text.size() - 1), number)) return Value(number);
  } else if (text.ends_with('u')) {
    std::uint64_t number = 0;
    if (read_number(text.substr(0, text.size() - 1), number)) {
      if (number <= static_cast<std::uint64_t>(INT64_MAX)) return Value(static_cast<std::int64_t>(number));
      return Value(static_cast<double>(number));
    }
  } else {
    double number = 0;
    if (read_number(text.starts_with('+') ? text.substr(1) : text, number)) return Value(number);
  }
  return bad(fmt::format("'{}' is no value: write 1.5, 3i, true or \"text\"", text.substr(0, 40)));
}

Result<Value> take_value(std::string_view& text) {
  if (!take(text, '"')) {
    const std::size_t end = std::min(text.find_first_of(", \r\n"), text.size());
    const std::string_view written = text.substr(0, end);
    text.remove_prefix(end);
    return plain_value(written);
  }
  std::string value = take_name(text, "\"", "\"\\");
  if (!take(text, '"')) return bad("a closing quote is missing");
  return Value(std::move(value));
}

Result<void> take_tags(std::string_view& text, Sample& sample) {
  bool named = false;
  while (take(text, ',')) {
    std::string name = take_name(text, "=, \n", ",= ");
    if (name.empty() || !take(text, '=')) return bad("a tag is written name=value");
    std::string value = take_name(text, ", \n", ",= ");
    if (value.empty()) return bad(fmt::format("the tag '{}' has no value", name));
    if (name == "device" || (name == "host" && !named)) {
      named = named || name == "device";
      if (auto fine = check_device(value); !fine) return fine;
      sample.device = std::move(value);
      continue;
    }
    if (sample.tags.size() >= kSampleFieldsMax) return bad("too many tags");
    sample.tags.emplace_back(std::move(name), std::move(value));
  }
  return {};
}

Result<void> take_fields(std::string_view& text, Sample& sample) {
  do {
    std::string name = take_name(text, "=, \n", ",= ");
    if (name.empty() || !take(text, '=')) return bad("a field is written name=value");
    auto value = take_value(text);
    if (!value) return fail(value.error().code, fmt::format("field '{}': {}", name, value.error().detail));
    if (sample.fields.size() >= kSampleFieldsMax) {
      return bad(fmt::format("a sample has at most {} fields", kSampleFieldsMax));
    }
    sample.fields.push_back({std::move(name), std::move(*value), {}});
  } while (take(text, ','));
  return {};
}

Result<void> take_time(std::string_view& text, Sample& sample) {
  const std::size_t end = std::min(text.find_first_of(" \r\n"), text.size());
  const std::string_view written = text.substr(0, end);
  text.remove_prefix(end);
  if (written.empty()) return {};
  std::int64_t number = 0;
  if (!read_number(written, number)) return bad(fmt::format("'{}' is no time", written.substr(0, 40)));
  const auto time = time_from_epoch(static_cast<double>(number));
  if (!time) return bad(fmt::format("'{}' {}", written, time.error().detail));
  sample.event_time = *time;
  return {};
}

Result<Sample> take_line(std::string_view& text, const SampleDefaults& defaults) {
  Sample sample;
  sample.event_time = sample.ingest_time = defaults.now;
  sample.device = defaults.device;
  std::string measurement = take_name(text, ", \n", ", ");
  if (measurement.empty()) return bad("the measurement is missing");
  sample.tags.emplace_back("measurement", std::move(measurement));
  Result<void> read = take_tags(text, sample);
  if (!read) return std::unexpected(read.error());
  if (!take(text, ' ')) return bad("the fields are missing: measurement field=1");
  while (take(text, ' ')) {
  }
  if (read = take_fields(text, sample); !read) return std::unexpected(read.error());
  while (take(text, ' ')) {
  }
  if (read = take_time(text, sample); !read) return std::unexpected(read.error());
  while (take(text, ' ') || take(text, '\r')) {
  }
  if (!text.empty() && !take(text, '\n')) return bad("there is text behind the time");
  return sample;
}

}  // namespace

Result<std::vector<Sample>> samples_from_line_protocol(std::string_view text, const SampleDefaults& defaults) {
  std::vector<Sample> samples;
  std::size_t line = 1;
  while (!text.empty()) {
    const std::string_view before = text;
    const std::string_view whole = text.substr(0, text.find('\n'));
    const std::size_t first = whole.find_first_not_of(" \t\r");
    if (first == std::string_view::npos || whole[first] == '#') {
      text.remove_prefix(std::min(whole.size() + 1, text.size()));
    } else {
      text.remove_prefix(first);
      if (samples.size() >= kSamplesPerMessageMax) {
        return fail(Errc::out_of_range, fmt::format("line {}: a message holds at most {} samples; send more messages",
                                                    line, kSamplesPerMessageMax));
      }
      auto sample = take_line(text, defaults);
      if (!sample) return fail(sample.error().code, fmt::format("line {}: {}", line, sample.error().detail));
      samples.push_back(std::move(*sample));
    }
    const std::string_view taken = before.substr(0, before.size() - text.size());
    line += static_cast<std::size_t>(std::count(taken.begin(), taken.end(), '\n'));
  }
  return samples;
}

}  // namespace penstock::ingest
