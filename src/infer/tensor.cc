#include "infer/tensor.h"

#include <bit>
#include <cmath>

namespace penstock::infer {
namespace {

struct Entry {
  std::string_view name;
  std::size_t bytes;
};
// In the order of Datatype.
constexpr std::array<Entry, 14> kEntries{{{"BOOL", 1},
                                          {"UINT8", 1},
                                          {"UINT16", 2},
                                          {"UINT32", 4},
                                          {"UINT64", 8},
                                          {"INT8", 1},
                                          {"INT16", 2},
                                          {"INT32", 4},
                                          {"INT64", 8},
                                          {"FP16", 2},
                                          {"FP32", 4},
                                          {"FP64", 8},
                                          {"BF16", 2},
                                          {"BYTES", 0}}};
static_assert(static_cast<std::size_t>(Datatype::bytes) + 1 == kEntries.size());

}  // namespace

std::string_view to_string(Datatype datatype) { return kEntries[static_cast<std::size_t>(datatype)].name; }
std::size_t element_bytes(Datatype datatype) { return kEntries[static_cast<std::size_t>(datatype)].bytes; }

std::optional<Datatype> parse_datatype(std::string_view name) {
  for (std::size_t i = 0; i < kEntries.size(); ++i) {
    if (kEntries[i].name == name) return static_cast<Datatype>(i);
  }
  return std::nullopt;
}

std::size_t Tensor::elements() const {
  return datatype == Datatype::bytes ? strings.size() : bytes.size() / element_bytes(datatype);
}

Result<std::size_t> element_count(std::span<const std::int64_t> shape) {
  if (shape.size() > kRankMax) {
    return fail(Errc::invalid_argument, fmt::format("{} dimensions; at most {} are allowed", shape.size(), kRankMax));
  }
  // Zero dimensions count as one here, so that an absurd shape is refused wherever its zero stands.
  std::int64_t product = 1;
  bool empty = false;
  for (std::int64_t dimension : shape) {
    if (dimension < 0) {
      return fail(Errc::invalid_argument, fmt::format("shape {} has a negative dimension", format_shape(shape)));
    }
    empty = empty || dimension == 0;
    if (__builtin_mul_overflow(product, std::max<std::int64_t>(dimension, 1), &product)) {
      return fail(Errc::invalid_argument, fmt::format("shape {} holds too many elements", format_shape(shape)));
    }
  }
  return empty ? 0 : static_cast<std::size_t>(product);
}

std::string format_shape(std::span<const std::int64_t> shape) { return fmt::format("[{}]", fmt::join(shape, ",")); }

std::uint16_t to_half(float value) {
  auto bits = std::bit_cast<std::uint32_t>(value);
  auto sign = static_cast<std::uint16_t>((bits >> 16) & 0x8000);
  float magnitude = std::fabs(value);
  if (std::isnan(value)) return sign | 0x7E00;
  if (magnitude >= 65520.0F) return sign | 0x7C00;
  if (magnitude < 0x1p-14F) {
    // Subnormal: adding 0.5 lets the float unit round at the place of binary16's last bit.
    return sign | static_cast<std::uint16_t>(std::bit_cast<std::uint32_t>(magnitude + 0.5F) - 0x3F000000);
  }
  std::uint32_t rounded = std::bit_cast<std::uint32_t>(magnitude) + 0xFFF + ((bits >> 13) & 1);
  return sign | static_cast<std::uint16_t>((rounded >> 13) - ((127 - 15) << 10));
}

float from_half(std::uint16_t bits) {
  float sign = (bits & 0x8000) != 0 ? -1.0F : 1.0F;
  std::uint32_t exponent = (bits >> 10) & 0x1F;
  std::uint32_t fraction = bits & 0x3FF;
  if (exponent == 0) return std::copysign(static_cast<float>(fraction) * 0x1p-24F, sign);
  if (exponent == 0x1F) return fraction != 0 ? std::nanf("") : sign * INFINITY;
  return std::copysign(std::bit_cast<float>(((exponent + 127 - 15) << 23) | (fraction << 13)), sign);
}

std::uint16_t to_bfloat(float value) {
  auto bits = std::bit_cast<std::uint32_t>(value);
  if (std::isnan(value)) return static_cast<std::uint16_t>((bits >> 16) | 0x40);
  return static_cast<std::uint16_t>((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16);
}

float from_bfloat(std::uint16_t bits) { return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16); }

}  // namespace penstock::infer
