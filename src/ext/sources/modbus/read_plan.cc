#include "ext/sources/modbus/read_plan.h"

#include <algorithm>
#include <numeric>
#include <tuple>

namespace penstock::ext::modbus {

std::vector<Block> plan_reads(const std::vector<Point>& points, const RequestLimits& limits) {
  std::vector<std::size_t> all(points.size());
  std::iota(all.begin(), all.end(), std::size_t{0});
  return plan_reads(points, std::move(all), limits);
}

std::vector<Block> plan_reads(const std::vector<Point>& points, std::vector<std::size_t> chosen,
                              const RequestLimits& limits) {
  // By address, then as written.
  std::sort(chosen.begin(), chosen.end(), [&](std::size_t a, std::size_t b) {
    return std::tuple(points[a].table, points[a].address, a) < std::tuple(points[b].table, points[b].address, b);
  });
  std::vector<Block> blocks;
  for (std::size_t index : chosen) {
    const Point& point = points[index];
    const std::uint32_t begin = point.address;
    const std::uint32_t end = begin + point.width();
    if (!blocks.empty() && blocks.back().table == point.table) {
      Block& last = blocks.back();
      const std::uint32_t last_end = std::uint32_t{last.address} + last.count;
      const bool bits = has_bits(point.table);
      const std::uint32_t gap = bits ? limits.gap * 16U : limits.gap;
      const std::uint32_t most = bits ? limits.bits : limits.registers;
      if (begin <= last_end + gap && std::max(end, last_end) - last.address <= most) {
        last.bridges = last.bridges || begin > last_end;
        last.count = static_cast<std::uint16_t>(std::max(end, last_end) - last.address);
        last.points.push_back(index);
        continue;
      }
    }
    blocks.push_back({point.table, point.address, point.width(), {index}, false});
  }
  return blocks;
}

}  // namespace penstock::ext::modbus
