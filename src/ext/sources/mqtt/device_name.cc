#include "ext/sources/mqtt/device_name.h"

#include <fmt/format.h>

#include <charconv>

#include "mqtt/topic.h"

namespace penstock::ext {
namespace {

// Texts, whole numbers and truth values name things; the rest does not.
std::string as_name(const ingest::Value& value) {
  if (const auto* text = std::get_if<std::string>(&value)) return *text;
  if (const auto* number = std::get_if<std::int64_t>(&value)) return fmt::format("{}", *number);
  if (const auto* number = std::get_if<double>(&value)) return fmt::format("{}", *number);
  return {};
}

}  // namespace

Result<DeviceName> DeviceName::parse(std::string_view text) {
  DeviceName out;
  std::string_view rest = text;
  while (!rest.empty()) {
    const std::size_t open = rest.find('{');
    if (open != 0) out.parts_.push_back({Kind::literal, std::string(rest.substr(0, open))});
    if (open == std::string_view::npos) break;
    const std::size_t close = rest.find('}', open);
    if (close == std::string_view::npos || close == open + 1) {
      return fail(Errc::invalid_argument, "a device is named by {1} for a topic level or {name} for a field");
    }
    const std::string_view name = rest.substr(open + 1, close - open - 1);
    std::size_t level = 0;
    auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), level);
    const bool is_level = error == std::errc() && end == name.data() + name.size();
    out.parts_.push_back({is_level ? Kind::level : Kind::field, std::string(name), level});
    rest.remove_prefix(close + 1);
  }
  if (out.parts_.empty()) return fail(Errc::invalid_argument, "the name of the device is empty");
  return out;
}

std::optional<std::string> DeviceName::render(std::string_view topic, const ingest::Sample& sample) const {
  std::string name;
  for (const Part& part : parts_) {
    const std::size_t before = name.size();
    switch (part.kind) {
      case Kind::literal: name += part.text; break;
      case Kind::level: name += mqtt::level(topic, part.level); break;
      case Kind::field:
        if (part.text == "device" && !sample.device.empty()) {
          name += sample.device;
        } else if (const ingest::Field* field = sample.find(part.text))
          name += as_name(field->value);
        break;
    }
    if (name.size() == before) return std::nullopt;
  }
  return name;
}

}  // namespace penstock::ext
