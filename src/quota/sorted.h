// The accounts of one call.
#pragma once

#include <array>
#include <span>

#include "quota/account.h"

namespace penstock::quota {

// Those that have something to say, once each, in the order of their addresses: the order in which their locks are
// taken.
class Sorted {
 public:
  static constexpr std::size_t kMax = 12;
  Sorted() = default;
  explicit Sorted(std::span<Account* const> accounts);
  Account* const* begin() const { return accounts_.data(); }
  Account* const* end() const { return accounts_.data() + size_; }

 private:
  std::size_t size_ = 0;
  std::array<Account*, kMax> accounts_{};
};

}  // namespace penstock::quota
