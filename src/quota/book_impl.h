// The inside of the Book.
#pragma once

#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "quota/book.h"
#include "quota/meters.h"

namespace penstock::quota {

// Those accounts of a call that have something to say, once each, in the order of their addresses: the order in which
// their locks are taken.
class Sorted {
 public:
  static constexpr std::size_t kMax = 12;
  explicit Sorted(std::span<Account* const> accounts);
  Account* const* begin() const { return accounts_.data(); }
  Account* const* end() const { return accounts_.data() + size_; }
  std::size_t size() const { return size_; }

 private:
  std::size_t size_ = 0;
  std::array<Account*, kMax> accounts_{};
};

struct Book::Impl {
  explicit Impl(BookOptions with) : options(with) {}

  std::shared_ptr<const Plan> plan_of(const Rules& rules);  // with `mutex` held
  static Meters& meters(Account& account) { return *account.meters_; }
  std::shared_ptr<Account> make(std::string id, std::string shown) {
    return std::shared_ptr<Account>(new Account(std::move(id), std::move(shown)));
  }

  const BookOptions options;
  mutable std::mutex mutex;                                                 // of what is below
  std::unordered_map<std::string_view, std::shared_ptr<Account>> accounts;  // by their own ids
  std::unordered_map<std::string, std::weak_ptr<const Plan>> plans;         // by their text
};

}  // namespace penstock::quota
