#include "token/classes.h"

#include <map>

namespace penstock::token {
namespace {

struct Range {
  char32_t first;
  char32_t last;
  CharClass kind;
};

constexpr auto kRanges = [] {
  using enum CharClass;
  return std::to_array<Range>({
#include "token/classes.inc"
  });
}();

}  // namespace

ClassTable::ClassTable() {
  using Block = std::array<CharClass, 1U << kShift>;
  std::map<Block, std::uint16_t> known;
  const Range* range = kRanges.data();
  const Range* const end = range + kRanges.size();
  for (char32_t base = 0; base < 0x110000; base += 1U << kShift) {
    Block block{};
    for (char32_t i = 0; i < block.size(); ++i) {
      while (range != end && range->last < base + i) ++range;
      if (range != end && range->first <= base + i) block[i] = range->kind;
    }
    if (base == 0) block['\r'] = block['\n'] = CharClass::newline;
    auto [at, fresh] = known.emplace(block, static_cast<std::uint16_t>(known.size()));
    if (fresh) kinds_.insert(kinds_.end(), block.begin(), block.end());
    blocks_[base >> kShift] = at->second;
  }
}

const ClassTable& ClassTable::get() {
  static const ClassTable table;
  return table;
}

}  // namespace penstock::token
