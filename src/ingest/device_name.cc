#include "ingest/device_name.h"

#include <algorithm>

namespace penstock::ingest {
namespace {

bool of_a_word(char c) { return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z'); }

// The alarm may have been decided before the device had the name that it has now.
AlarmChange renamed_alarm(AlarmChange alarm, const Sample& sample, const std::string& device,
                          const std::function<std::string(const std::string&)>& renamed) {
  alarm.why = replace_word(alarm.why, sample.device, device);
  if (alarm.device == sample.device) {
    alarm.device = device;
  } else {
    std::string name = renamed(alarm.device);
    alarm.why = replace_word(alarm.why, alarm.device, name);
    alarm.device = std::move(name);
  }
  return alarm;
}

}  // namespace

std::string replace_word(std::string_view text, std::string_view word, std::string_view with) {
  std::string result;
  std::size_t at = 0;
  while (!word.empty()) {
    const std::size_t found = text.find(word, at);
    if (found == std::string_view::npos) break;
    const std::size_t end = found + word.size();
    const bool begins = found == 0 || !of_a_word(text[found - 1]) || !of_a_word(word.front());
    const bool ends = end == text.size() || !of_a_word(text[end]) || !of_a_word(word.back());
    const std::size_t taken = begins && ends ? end : found + 1;
    result += text.substr(at, found - at);
    result += begins && ends ? with : text.substr(found, 1);
    at = taken;
  }
  result += text.substr(at);
  return result;
}

bool tells_any(std::string_view text, const Sample& sample, const std::function<bool(const std::string&)>& hidden) {
  const auto told = [&](std::string_view name, const std::string& known_as) {
    return hidden(known_as) && text.find(name) != std::string_view::npos;
  };
  return std::any_of(sample.fields.begin(), sample.fields.end(),
                     [&](const Field& field) { return told(field.name, field.name); }) ||
         std::any_of(sample.tags.begin(), sample.tags.end(),
                     [&](const auto& tag) { return told(tag.first, "tags." + tag.first); });
}

void rename_device(Sample& sample, const std::function<std::string(const std::string&)>& renamed) {
  const std::string device = renamed(sample.device);
  for (Field& field : sample.fields) {
    if (auto* text = std::get_if<std::string>(&field.value)) *text = replace_word(*text, sample.device, device);
  }
  for (auto& [name, value] : sample.tags) value = replace_word(value, sample.device, device);
  if (sample.alarm) {
    sample.alarm = std::make_shared<const AlarmChange>(renamed_alarm(*sample.alarm, sample, device, renamed));
  }
  if (sample.origin) {
    sample.origin = std::make_shared<const std::string>(replace_word(*sample.origin, sample.device, device));
  }
  sample.device = device;
}

}  // namespace penstock::ingest
