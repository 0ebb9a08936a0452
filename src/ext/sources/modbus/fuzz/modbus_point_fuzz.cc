// A point as a person writes it, up to the first line break, and behind it the registers as a device answers: a text is
// refused with a reason or reads any registers, and a value it gives can be written and read again.
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "ext/sources/modbus/read_plan.h"

namespace {

using namespace penstock;
using namespace penstock::ext::modbus;

void check_plan(const Point& point) {
  Point next = point;
  next.address = static_cast<std::uint16_t>(point.address + point.width());
  const std::vector<Point> points = {next, point};
  std::size_t planned = 0;
  for (const Block& block : plan_reads(points, {})) {
    planned += block.points.size();
    for (std::size_t place : block.points) {
      const Point& one = points[place];
      if (one.address < block.address || one.address + one.width() > block.address + block.count) std::abort();
    }
  }
  if (planned != points.size()) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const std::size_t split = std::min(input.find('\n'), input.size());
  Point point;
  if (auto parsed = parse_point(input.substr(0, split), point); !parsed) {
    if (parsed.error().detail.empty()) std::abort();
    return 0;
  }
  if (point.width() == 0) std::abort();
  if (point.address + 2 * point.width() <= 0x10000) check_plan(point);
  // As many as a source hands on: what an answer of another length holds is refused before.
  std::vector<std::uint16_t> words(point.width());
  for (std::size_t i = 0; i < words.size() && split + 2 + 2 * i < size; ++i) {
    words[i] = static_cast<std::uint16_t>(data[split + 1 + 2 * i] << 8 | data[split + 2 + 2 * i]);
    if (has_bits(point.table)) words[i] &= 1;
  }
  const auto value = decode(point, words);
  if (!value || point.bit >= 0) return 0;
  const auto encoded = encode(point, *value);
  if (!encoded) std::abort();
  const auto again = decode(point, *encoded);
  if (!again || *again != *value) std::abort();
  return 0;
}
