// What a call asks the gateway for, beyond a model: a key may be limited to some of it.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <string_view>

namespace penstock::flow {

enum class Capability : std::uint8_t { chat, tools, vision, embeddings, images, infer, ingest, admin };
constexpr std::size_t kCapabilities = 8;
constexpr std::array<std::string_view, kCapabilities> kCapabilityNames{"chat",   "tools", "vision", "embeddings",
                                                                       "images", "infer", "ingest", "admin"};

class Capabilities {
 public:
  constexpr Capabilities() = default;
  constexpr Capabilities(std::initializer_list<Capability> all) {
    for (Capability one : all) add(one);
  }
  constexpr void add(Capability one) { bits_ = static_cast<std::uint16_t>(bits_ | bit(one)); }
  constexpr bool has(Capability one) const { return (bits_ & bit(one)) != 0; }
  constexpr bool empty() const { return bits_ == 0; }
  constexpr bool contains(Capabilities others) const { return (others.bits_ & ~bits_) == 0; }
  bool operator==(const Capabilities&) const = default;

 private:
  static constexpr std::uint16_t bit(Capability one) {
    return static_cast<std::uint16_t>(1U << static_cast<unsigned>(one));
  }
  std::uint16_t bits_ = 0;
};

}  // namespace penstock::flow
