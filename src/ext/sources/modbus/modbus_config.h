// The configuration of a Modbus source.
#pragma once

#include "config/document.h"
#include "ext/sources/modbus/poller.h"

namespace penstock::ext::modbus {

// Reads the address at `kind` and the keys every, points, devices, unit, timeout, retries, pause, order, max_registers,
// max_bits and gap of `map`. Mistakes are reported at their places; nothing then. `name` is the device's where only one
// is written.
std::optional<PollerOptions> read_options(const std::string& name, const config::Node& kind, config::Map& map);

}  // namespace penstock::ext::modbus
