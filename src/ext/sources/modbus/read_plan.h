// Points put together into few requests.
#pragma once

#include <vector>

#include "ext/sources/modbus/point.h"

namespace penstock::ext::modbus {

// What a device puts up with in one request. The protocol allows 125 registers and 2,000 bits.
struct RequestLimits {
  std::uint16_t registers = 125;
  std::uint16_t bits = 2000;
  // Unasked-for registers (bits: sixteen times as many) that are read over rather than asking twice.
  std::uint16_t gap = 8;
};

// One request: the points it reads, by their places in the list they came from, in the order of their addresses.
struct Block {
  Table table = Table::holding_registers;
  std::uint16_t address = 0;
  std::uint16_t count = 0;
  std::vector<std::size_t> points;
  bool bridges = false;  // reads over addresses that nobody asked for
};

// Every point is in exactly one block, whole. A device may have holes that it refuses to read: a block that bridges
// some can be cut with plan_reads() of its points and gap 0.
std::vector<Block> plan_reads(const std::vector<Point>& points, const RequestLimits& limits);
std::vector<Block> plan_reads(const std::vector<Point>& points, std::vector<std::size_t> chosen,
                              const RequestLimits& limits);

}  // namespace penstock::ext::modbus
