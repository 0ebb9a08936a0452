// Numbers and words that depend on nothing but a seed and the input.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace penstock::mock {

// Eight bytes at a time; not for strangers' hash tables.
std::uint64_t hash(std::string_view bytes, std::uint64_t seed);

// SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014).
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}
  std::uint64_t next();
  // 0 ≤ x < 1
  double unit() { return static_cast<double>(next() >> 11) * 0x1.0p-53; }

 private:
  std::uint64_t state_;
};

// A text and where each of its tokens ends.
struct Text {
  std::string text;
  std::vector<std::uint32_t> ends;
  std::string_view piece(std::size_t index) const;
  // Keeps the first `count` tokens.
  void keep(std::size_t count);
  // Keeps what stands before byte `at`.
  void cut(std::size_t at);
};

// `count` words, each but the first with the space before it.
Text words(std::uint64_t seed, std::size_t count);
// `text` in tokens of about four bytes, never inside a UTF-8 sequence.
Text tokenized(std::string text);

}  // namespace penstock::mock
