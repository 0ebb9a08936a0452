#include "ingest/frequency.h"

#include <charconv>
#include <cmath>

#include "ingest/unit.h"

namespace penstock::ingest {
namespace {

// Nothing unless it is a number with a unit of frequency.
std::optional<double> parse(std::string_view text) {
  while (text.starts_with(' ')) text.remove_prefix(1);
  while (text.ends_with(' ')) text.remove_suffix(1);
  double value = 0;
  auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), value);
  std::string_view name = text.substr(static_cast<std::size_t>(end - text.data()));
  while (name.starts_with(' ')) name.remove_prefix(1);
  const Unit* unit = find_unit(name);
  if (ec != std::errc{} || unit == nullptr || unit->dimension != Dimension::frequency) return std::nullopt;
  double hertz = convert(value, *unit, *find_unit("Hz"));
  return std::isfinite(hertz) ? std::optional(hertz) : std::nullopt;
}

}  // namespace

std::optional<double> read_frequency(const config::Node& node) {
  if (!node.present()) return std::nullopt;
  std::string text = node.text();
  auto hertz = parse(text);
  if (hertz && *hertz > 0) return hertz;
  node.problem(fmt::format("'{}' is no frequency; write 50Hz, 10kHz or 3000rpm", text));
  return std::nullopt;
}

std::optional<FrequencyBand> read_band(const config::Node& node) {
  std::string text = node.text();
  std::size_t dots = text.find("..");
  auto from = dots == std::string::npos ? std::nullopt : parse(std::string_view(text).substr(0, dots));
  auto to = dots == std::string::npos ? std::nullopt : parse(std::string_view(text).substr(dots + 2));
  if (from && to && *from >= 0 && *to > *from) return FrequencyBand{*from, *to};
  node.problem(fmt::format("'{}' is no range of frequencies; write 10Hz..1kHz", text));
  return std::nullopt;
}

}  // namespace penstock::ingest
