// The units of measurement an expression may name. One table; names are case-sensitive, as written in data sheets.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace penstock::ingest {

enum class Dimension : std::uint8_t {
  ratio,
  time,
  temperature,
  length,
  angle,
  area,
  volume,
  speed,
  acceleration,
  mass,
  force,
  torque,
  pressure,
  frequency,
  voltage,
  current,
  resistance,
  power,
  energy,
  data,
  flow,
};

std::string_view to_string(Dimension dimension);

// base value = value * factor + offset; only temperatures have an offset.
struct Unit {
  std::string_view name;
  Dimension dimension;
  double factor;
  double offset = 0;
};

// Null for a name that is not in the table. "°C", "°F", "µm" and "µs" are read as degC, degF, um and us.
const Unit* find_unit(std::string_view name);

// Both of one dimension.
double convert(double value, const Unit& from, const Unit& to);

// Every name, for hints and documentation.
std::vector<std::string> unit_names();

}  // namespace penstock::ingest
