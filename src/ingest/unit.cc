#include "ingest/unit.h"

#include <numbers>

namespace penstock::ingest {
namespace {

using enum Dimension;

constexpr double kInch = 0.0254;
constexpr double kPound = 0.45359237;
constexpr double kGravity = 9.80665;
constexpr double kGallon = 3.785411784e-3;  // US liquid gallon, m3

// `g` is standard gravity, as on every accelerometer's data sheet; the mass is `gram`. `m` is the metre, `min` the
// minute.
constexpr std::array kUnits = std::to_array<Unit>({
    {"%", ratio, 0.01},
    {"ppm", ratio, 1e-6},
    {"ns", Dimension::time, 1e-9},
    {"us", Dimension::time, 1e-6},
    {"ms", Dimension::time, 1e-3},
    {"s", Dimension::time, 1},
    {"min", Dimension::time, 60},
    {"h", Dimension::time, 3600},
    {"d", Dimension::time, 86400},
    {"K", temperature, 1},
    {"degC", temperature, 1, 273.15},
    {"degF", temperature, 5.0 / 9, 459.67 * 5 / 9},
    {"nm", length, 1e-9},
    {"um", length, 1e-6},
    {"mm", length, 1e-3},
    {"cm", length, 1e-2},
    {"m", length, 1},
    {"km", length, 1e3},
    {"in", length, kInch},
    {"ft", length, 12 * kInch},
    {"mi", length, 1609.344},
    {"deg", angle, std::numbers::pi / 180},
    {"rad", angle, 1},
    {"mm2", area, 1e-6},
    {"cm2", area, 1e-4},
    {"m2", area, 1},
    {"ml", volume, 1e-6},
    {"l", volume, 1e-3},
    {"m3", volume, 1},
    {"gal", volume, kGallon},
    {"um/s", speed, 1e-6},
    {"mm/s", speed, 1e-3},
    {"cm/s", speed, 1e-2},
    {"m/s", speed, 1},
    {"m/min", speed, 1.0 / 60},
    {"km/h", speed, 1 / 3.6},
    {"in/s", speed, kInch},
    {"ft/s", speed, 12 * kInch},
    {"mph", speed, 0.44704},
    {"kn", speed, 1852.0 / 3600},
    {"m/s2", acceleration, 1},
    {"mm/s2", acceleration, 1e-3},
    {"g", acceleration, kGravity},
    {"mg", mass, 1e-6},
    {"gram", mass, 1e-3},
    {"kg", mass, 1},
    {"t", mass, 1e3},
    {"lb", mass, kPound},
    {"oz", mass, kPound / 16},
    {"mN", force, 1e-3},
    {"N", force, 1},
    {"kN", force, 1e3},
    {"lbf", force, kPound* kGravity},
    {"Nm", torque, 1},
    {"kNm", torque, 1e3},
    {"Pa", pressure, 1},
    {"hPa", pressure, 1e2},
    {"kPa", pressure, 1e3},
    {"MPa", pressure, 1e6},
    {"mbar", pressure, 1e2},
    {"bar", pressure, 1e5},
    {"psi", pressure, kPound* kGravity / (kInch * kInch)},
    {"atm", pressure, 101325},
    {"Hz", frequency, 1},
    {"kHz", frequency, 1e3},
    {"MHz", frequency, 1e6},
    {"GHz", frequency, 1e9},
    {"rpm", frequency, 1.0 / 60},
    {"uV", voltage, 1e-6},
    {"mV", voltage, 1e-3},
    {"V", voltage, 1},
    {"kV", voltage, 1e3},
    {"uA", current, 1e-6},
    {"mA", current, 1e-3},
    {"A", current, 1},
    {"kA", current, 1e3},
    {"ohm", resistance, 1},
    {"kohm", resistance, 1e3},
    {"Mohm", resistance, 1e6},
    {"mW", power, 1e-3},
    {"W", power, 1},
    {"kW", power, 1e3},
    {"MW", power, 1e6},
    {"hp", power, 745.69987158227022},
    {"J", energy, 1},
    {"kJ", energy, 1e3},
    {"MJ", energy, 1e6},
    {"Wh", energy, 3600},
    {"kWh", energy, 3.6e6},
    {"MWh", energy, 3.6e9},
    {"B", data, 1},
    {"KB", data, 1e3},
    {"MB", data, 1e6},
    {"GB", data, 1e9},
    {"TB", data, 1e12},
    {"KiB", data, 1024},
    {"MiB", data, 1048576},
    {"GiB", data, 1073741824},
    {"TiB", data, 1099511627776.0},
    {"l/s", flow, 1e-3},
    {"l/min", flow, 1e-3 / 60},
    {"l/h", flow, 1e-3 / 3600},
    {"m3/s", flow, 1},
    {"m3/h", flow, 1.0 / 3600},
    {"gpm", flow, kGallon / 60},
});

constexpr std::array<std::pair<std::string_view, std::string_view>, 6> kAliases{
    {{"°C", "degC"}, {"°F", "degF"}, {"µm", "um"}, {"µs", "us"}, {"Ω", "ohm"}, {"L", "l"}}};

}  // namespace

std::string_view to_string(Dimension dimension) {
  switch (dimension) {
    case ratio: return "ratio";
    case Dimension::time: return "time";
    case temperature: return "temperature";
    case length: return "length";
    case angle: return "angle";
    case area: return "area";
    case volume: return "volume";
    case speed: return "speed";
    case acceleration: return "acceleration";
    case mass: return "mass";
    case force: return "force";
    case torque: return "torque";
    case pressure: return "pressure";
    case frequency: return "frequency";
    case voltage: return "voltage";
    case current: return "current";
    case resistance: return "resistance";
    case power: return "power";
    case energy: return "energy";
    case data: return "data size";
    case flow: return "flow";
  }
  return "quantity";
}

const Unit* find_unit(std::string_view name) {
  for (const auto& [alias, meaning] : kAliases) {
    if (name == alias) name = meaning;
  }
  for (const Unit& unit : kUnits) {
    if (unit.name == name) return &unit;
  }
  return nullptr;
}

double convert(double value, const Unit& from, const Unit& to) {
  if (&from == &to) return value;
  return (value * from.factor + from.offset - to.offset) / to.factor;
}

std::vector<std::string> unit_names() {
  std::vector<std::string> names;
  names.reserve(kUnits.size());
  for (const Unit& unit : kUnits) names.emplace_back(unit.name);
  return names;
}

}  // namespace penstock::ingest
