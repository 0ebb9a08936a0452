// What the ledger is told, so that limits and budgets outlive the process.
#include "json/value.h"
#include "quota/book_impl.h"
#include "quota/carried.h"

namespace penstock::quota {

void Book::Impl::note_change(Account& account) {
  Meters& meters = Meters::of(account);
  if (meters.changed || !meters.kept || !meters.plan->durable || !keeping.load(std::memory_order_relaxed)) return;
  meters.changed = true;
  std::scoped_lock lock(changed_lock);
  meters.next_changed = std::exchange(changed, &account);
}

std::vector<Checkpoint> Book::take_checkpoints(const Now& now) {
  std::vector<Checkpoint> checkpoints;
  {
    std::scoped_lock lock(impl_->mutex);
    for (std::string& id : std::exchange(impl_->forgotten, {})) {
      // Made anew in the meantime: what it counts now follows, or has been told.
      if (!impl_->by_id.contains(id)) checkpoints.push_back({std::move(id), {}});
    }
    if (!impl_->keeping.exchange(true)) {
      for (auto& [id, account] : impl_->by_id) {
        std::scoped_lock meters_lock(Meters::of(*account).lock);
        impl_->note_change(*account);
      }
    }
  }
  Account* next = nullptr;
  {
    std::scoped_lock lock(impl_->changed_lock);
    next = std::exchange(impl_->changed, nullptr);
  }
  // One that is marked as changed is not forgotten: the list stays whole.
  while (next != nullptr) {
    Account& account = *next;
    Checkpoint checkpoint{account.id(), {}};
    Meters& meters = Meters::of(account);
    std::scoped_lock lock(meters.lock);
    next = meters.next_changed;
    checkpoint.state = save(meters, now);
    checkpoints.push_back(std::move(checkpoint));
    meters.changed = false;
  }
  return checkpoints;
}

namespace {

constexpr std::string_view kCarried = "{\"v\":1,\"from\":";
constexpr std::string_view kNothing = "{\"v\":1}";

template <class Impl>
Result<void> carry(Impl& book, const Checkpoint& carried, const Now& now) {
  auto text = json::parse(carried.state);
  if (!text) return std::unexpected(text.error());
  const json::Value* from = json::find(*text, "from");
  const json::Value* to = json::find(*text, "to");
  auto before = read_saved(from == nullptr ? "" : json::dump(*from), now);
  auto after = read_saved(to == nullptr ? "" : json::dump(*to), now);
  if (!before || !after) return std::unexpected(before ? after.error() : before.error());
  auto account = book.by_id.find(carried.id);
  if (account == book.by_id.end()) return fail(Errc::not_found, "there is no such account yet");
  Meters& meters = Meters::of(*account->second);
  std::scoped_lock lock(meters.lock);
  add_meters(meters, *before, *after, book.sharing_on, now);
  book.note_change(*account->second);
  return {};
}

}  // namespace

Checkpoint carried(std::string_view account, std::string_view before, std::string_view after) {
  return {std::string(account), fmt::format("{}{},\"to\":{}}}", kCarried, before.empty() ? kNothing : before,
                                            after.empty() ? kNothing : after)};
}

std::vector<Error> Book::restore(std::vector<Checkpoint> checkpoints, const Now& now) {
  std::vector<Error> errors;
  std::scoped_lock lock(impl_->mutex);
  impl_->keeping = true;
  for (Checkpoint& checkpoint : checkpoints) {
    if (checkpoint.state.starts_with(kCarried)) {
      if (auto done = carry(*impl_, checkpoint, now); !done) {
        done.error().source = std::move(checkpoint.id);
        errors.push_back(std::move(done.error()));
      }
      continue;
    }
    auto saved = read_saved(checkpoint.state, now);
    if (!saved) {
      saved.error().source = std::move(checkpoint.id);
      errors.push_back(std::move(saved.error()));
    } else if (saved->empty()) {
      impl_->forgotten.push_back(std::move(checkpoint.id));
    } else {
      impl_->restored.insert_or_assign(std::move(checkpoint.id), std::move(*saved));
    }
  }
  return errors;
}

}  // namespace penstock::quota
