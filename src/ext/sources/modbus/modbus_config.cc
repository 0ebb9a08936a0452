#include "ext/sources/modbus/modbus_config.h"

#include <fmt/format.h>

#include <cmath>

#include "ingest/unit.h"

namespace penstock::ext::modbus {
namespace {

using namespace std::chrono_literals;

constexpr base::Duration kEveryLeast = 1ms;
constexpr std::size_t kPointsMax = 100'000;  // of one source
constexpr std::size_t kDevicesMax = 247;     // of one bus: unit identifiers

// 0 is for everybody on a serial line, who all keep silent (Modbus over Serial Line V1.02, section 2.2).
bool is_unit(int unit, bool serial) { return (unit >= (serial ? 1 : 0) && unit <= 247) || (unit == 255 && !serial); }

struct Defaults {
  bool serial = false;
  base::Duration every = 1s;
  Order order = Order::abcd;
  int unit = 1;
  base::Duration pause{};
  RequestLimits limits;
};

base::Duration read_every(config::Map& map, base::Duration fallback) {
  const base::Duration every = map.duration("every", fallback);
  if (every >= kEveryLeast) return every;
  map.get("every").problem("at least 1ms between two readings");
  return fallback;
}

// The keys that a source and each of its devices may have.
Defaults read_defaults(config::Map& map, Defaults from) {
  from.every = read_every(map, from.every);
  from.unit = static_cast<int>(map.integer("unit", from.unit, 0, 255));
  if (!is_unit(from.unit, from.serial)) {
    map.get("unit").problem(from.serial ? "a device on a serial line is unit 1 to 247"
                                        : "a device behind TCP is unit 0 to 247, or 255");
  }
  from.pause = map.duration("pause", from.pause);
  from.limits.registers = static_cast<std::uint16_t>(map.integer("max_registers", from.limits.registers, 1, 125));
  from.limits.bits = static_cast<std::uint16_t>(map.integer("max_bits", from.limits.bits, 1, 2000));
  from.limits.gap = static_cast<std::uint16_t>(map.integer("gap", from.limits.gap, 0, 120));
  if (map.has("order")) {
    if (auto order = parse_order(map.text("order"))) {
      from.order = *order;
    } else {
      map.get("order").problem(order.error().detail);
    }
  }
  return from;
}

bool parse_at(const config::Node& node, Point& point) {
  auto parsed = parse_point(node.text(), point);
  if (!parsed) node.problem(parsed.error().detail);
  return parsed.has_value();
}

// "h40001:f32", or { at: h40001:f32, scale: 0.1, offset: 0, unit: degC, every: 1s }.
void read_point(const std::string& name, const config::Node& node, const Defaults& defaults, Device& device) {
  Point point{.name = name, .order = defaults.order};
  base::Duration every = defaults.every;
  bool good = true;
  if (node.kind() == config::Node::Kind::map) {
    config::Map map = node.map();
    const config::Node at = map.required("at");
    good = at.present() && parse_at(at, point);
    point.scale = map.number("scale", 1);
    point.offset = map.number("offset", 0);
    point.unit = map.text("unit");
    every = read_every(map, every);
    map.done();
    if (point.scale == 0 || !std::isfinite(point.scale)) map.get("scale").problem("must be another number than 0");
    const bool plain = point.type == Type::bit || point.type == Type::text;
    if (good && plain && (point.scale != 1 || point.offset != 0))
      node.problem("only numbers have a scale and an offset");
  } else {
    good = parse_at(node, point);
  }
  if (!good) return;
  // A device's own point stands for one of the same name that all have.
  for (std::size_t i = 0; i < device.points.size(); ++i) {
    if (device.points[i].name != name) continue;
    device.points[i] = std::move(point);
    device.every[i] = every;
    return;
  }
  device.points.push_back(std::move(point));
  device.every.push_back(every);
}

void read_points(const config::Node& node, const Defaults& defaults, Device& device) {
  if (!node.present()) return;
  for (const auto& [name, entry] : node.map().entries()) read_point(name, entry, defaults, device);
}

void read_devices(const config::Node& node, const config::Node& shared, const Defaults& defaults,
                  PollerOptions& options) {
  for (const auto& [name, entry] : node.map().entries()) {
    config::Map map = entry.map();
    const Defaults own = read_defaults(map, defaults);
    Device device{.name = name, .unit = own.unit, .pause = own.pause, .limits = own.limits};
    // What all devices have, with this one's paces and orders, and what only this one has.
    read_points(shared, own, device);
    read_points(map.get("points"), own, device);
    map.done();
    if (device.points.empty()) entry.problem("has no points");
    options.devices.push_back(std::move(device));
  }
  if (options.devices.empty()) node.problem("names no device; write { press-1: { unit: 1 }, press-2: { unit: 2 } }");
}

}  // namespace

std::optional<PollerOptions> read_options(const std::string& name, const config::Node& kind, config::Map& map) {
  PollerOptions options;
  auto address = parse_address(kind.text());
  if (!address) kind.problem(address.error().detail);
  const Defaults defaults = read_defaults(map, {.serial = address && address->serial, .limits = {}});
  options.timeout = map.duration("timeout", 1s);
  if (options.timeout < 1ms || options.timeout > 60s) map.get("timeout").problem("is between 1ms and 60s");
  options.retries = static_cast<int>(map.integer("retries", 1, 0, 10));
  const config::Node points = map.get("points");
  const config::Node devices = map.get("devices");
  if (devices.present()) {
    read_devices(devices, points, defaults, options);
  } else {
    Device device{.name = name, .unit = defaults.unit, .pause = defaults.pause, .limits = defaults.limits};
    read_points(points, defaults, device);
    if (device.points.empty()) map.node().problem("reads nothing; write points: { temp: h40001:f32, running: c17 }");
    options.devices.push_back(std::move(device));
  }
  std::size_t total = 0;
  bool all_read = true;
  for (const Device& device : options.devices) {
    total += device.points.size();
    all_read = all_read && !device.points.empty();
  }
  if (total > kPointsMax) map.node().problem(fmt::format("more than {} points; write more sources", kPointsMax));
  if (options.devices.size() > kDevicesMax)
    map.node().problem(fmt::format("more than {} devices on one bus", kDevicesMax));
  if (!address || !all_read || total > kPointsMax || options.devices.empty()) return std::nullopt;
  options.address = std::move(*address);
  return options;
}

}  // namespace penstock::ext::modbus
