// The inside of the Book.
#pragma once

#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "quota/book.h"
#include "quota/meters.h"
#include "quota/waiting.h"

namespace penstock::quota {

struct Book::Impl {
  Impl(Book& book, BookOptions options);

  // All or nothing, at once; nothing: granted. `head`: those that wait do not keep it.
  std::optional<Refusal> take(const Sorted& accounts, const Ask& ask, const Now& now, Reservation& into, bool head);

  std::shared_ptr<const Plan> plan_of(const Rules& rules);  // with `mutex` held
  std::shared_ptr<Account> make(std::string id, std::string shown) {
    return std::shared_ptr<Account>(new Account(std::move(id), std::move(shown)));
  }

  Book& book;
  Waiting waiting;
  mutable std::mutex mutex;                                              // of what is below
  std::unordered_map<std::string_view, std::shared_ptr<Account>> by_id;  // by their own ids
  std::unordered_map<std::string, std::weak_ptr<const Plan>> plans;      // by their text
};

}  // namespace penstock::quota
