#include "ingest/device_name.h"

#include <algorithm>

namespace penstock::ingest {
namespace {

bool of_a_word(char c) { return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z'); }

void replace_in_values(Sample& sample, std::string_view word, std::string_view with) {
  for (Field& field : sample.fields) {
    if (auto* text = std::get_if<std::string>(&field.value)) *text = replace_word(*text, word, with);
  }
  for (auto& [name, value] : sample.tags) value = replace_word(value, word, with);
}

// The alarm may have been decided before the device had the name that it has now.
AlarmChange renamed_alarm(AlarmChange alarm, const Sample& sample, const std::string& device,
                          const std::function<std::string(const std::string&)>& renamed) {
  alarm.why = replace_word(alarm.why, sample.device, device);
  if (alarm.grounds) {
    auto grounds = std::make_shared<Sample>(*alarm.grounds);
    replace_in_values(*grounds, sample.device, device);
    alarm.grounds = std::move(grounds);
  }
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

void rename_device(Sample& sample, const std::function<std::string(const std::string&)>& renamed) {
  const std::string device = renamed(sample.device);
  replace_in_values(sample, sample.device, device);
  if (sample.alarm) {
    sample.alarm = std::make_shared<const AlarmChange>(renamed_alarm(*sample.alarm, sample, device, renamed));
  }
  if (sample.origin) {
    sample.origin = std::make_shared<const std::string>(replace_word(*sample.origin, sample.device, device));
  }
  sample.device = device;
}

}  // namespace penstock::ingest
