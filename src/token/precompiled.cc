#include "token/precompiled.h"

#include <utf8proc.h>

#include <cstring>
#include <optional>
#include <vector>

#include "chat/base64.h"
#include "token/unicode.h"

namespace penstock::token {
namespace {

// A unit: bit 31 is set in leaves; the label in bits 0 to 7; bit 8 says that a leaf follows; bits 10 to 30 are the
// offset to the children, shifted by eight more when bit 9 is set.
class DoubleArray {
 public:
  explicit DoubleArray(std::vector<std::uint32_t> units) : units_(std::move(units)) {}

  // The value of the shortest key that `text` begins with; nothing when there is none.
  std::optional<std::uint32_t> shortest(std::string_view text) const {
    if (units_.empty()) return std::nullopt;
    std::size_t at = offset(units_[0]);
    for (char c : text) {
      auto byte = static_cast<unsigned char>(c);
      if (byte == 0) return std::nullopt;
      at ^= byte;
      if (at >= units_.size()) return std::nullopt;
      std::uint32_t unit = units_[at];
      if ((unit & 0x800000FFU) != byte) return std::nullopt;
      at ^= offset(unit);
      if ((unit >> 8 & 1) == 0) continue;
      if (at >= units_.size()) return std::nullopt;
      return units_[at] & 0x7FFFFFFFU;
    }
    return std::nullopt;
  }

 private:
  static std::size_t offset(std::uint32_t unit) { return (unit >> 10) << ((unit & (1U << 9)) >> 6); }
  std::vector<std::uint32_t> units_;
};

bool is_utf8(std::string_view text) {
  for (const char *at = text.data(), *end = at + text.size(); at != end;) {
    const char* from = at;
    // U+FFFD itself has three bytes.
    if (take_point(at, end) == 0xFFFD && at - from != 3) return false;
  }
  return true;
}

class Precompiled : public Normalizer {
 public:
  Precompiled(DoubleArray keys, std::string values) : keys_(std::move(keys)), values_(std::move(values)) {}

  // Characters as readers see them first, when they are short; then each code point for itself.
  bool apply(std::string& text) const override {
    std::string out;
    out.reserve(text.size() + text.size() / 8);
    const char *at = text.data(), *end = at + text.size();
    while (at != end && out.size() <= kBytesMax) {
      const char* cluster_end = end_of_cluster(at, end);
      write_cluster(out, std::string_view(at, static_cast<std::size_t>(cluster_end - at)));
      at = cluster_end;
    }
    text = std::move(out);
    return text.size() <= kBytesMax;
  }

 private:
  static const char* end_of_cluster(const char* at, const char* end) {
    std::int32_t state = 0;
    auto before = static_cast<utf8proc_int32_t>(take_point(at, end));
    while (at != end) {
      const char* next = at;
      auto point = static_cast<utf8proc_int32_t>(take_point(next, end));
      if (utf8proc_grapheme_break_stateful(before, point, &state)) break;
      before = point;
      at = next;
    }
    return at;
  }
  std::optional<std::string_view> value_of(std::string_view text) const {
    auto found = keys_.shortest(text);
    if (!found || *found >= values_.size()) return std::nullopt;
    // Within a character there is no value.
    if ((static_cast<unsigned char>(values_[*found]) & 0xC0) == 0x80) return std::nullopt;
    return std::string_view(values_.c_str() + *found);
  }
  void write_cluster(std::string& out, std::string_view cluster) const {
    constexpr std::size_t kShortBytes = 6;
    if (cluster.size() < kShortBytes) {
      if (auto value = value_of(cluster)) {
        out += *value;
        return;
      }
    }
    for (const char *at = cluster.data(), *end = at + cluster.size(); at != end;) {
      const char* begin = at;
      (void)take_point(at, end);
      std::string_view point(begin, static_cast<std::size_t>(at - begin));
      auto value = value_of(point);
      out += value ? *value : point;
      if (out.size() > kBytesMax) return;
    }
  }

  DoubleArray keys_;
  std::string values_;  // UTF-8; each ends in a NUL
};

}  // namespace

std::unique_ptr<const Normalizer> read_precompiled(const JsonNode& node) {
  auto bytes = chat::read_base64(node.text("precompiled_charsmap"));
  std::uint32_t size = 0;
  if (bytes && bytes->size() >= 4) std::memcpy(&size, bytes->data(), 4);
  if (!bytes || bytes->size() < 4 || size % 4 != 0 || size > bytes->size() - 4) {
    node.wrong("precompiled_charsmap is damaged");
    return nullptr;
  }
  std::string values = bytes->substr(4 + size);
  if (!is_utf8(values)) {
    node.wrong("precompiled_charsmap has values that are no UTF-8");
    return nullptr;
  }
  std::vector<std::uint32_t> units(size / 4);
  std::memcpy(units.data(), bytes->data() + 4, size);
  return std::make_unique<Precompiled>(DoubleArray(std::move(units)), std::move(values));
}

}  // namespace penstock::token
