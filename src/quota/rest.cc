#include "quota/book_impl.h"

namespace penstock::quota {

void Book::set_address_rules(const Rules&) {}
Account* Book::address_account(std::string_view) { return nullptr; }
std::vector<Checkpoint> Book::take_checkpoints(const Now&) { return {}; }
void Book::restore(std::vector<Checkpoint>, const Now&) {}
std::vector<BudgetAlert> Book::take_alerts() { return {}; }
std::vector<SharedUse> Book::shared_uses(const Now&) { return {}; }
void Book::apply(const std::vector<SharedSum>&, const Now&) {}
void Book::set_sharing(const SharingState&, const Now&) {}

}  // namespace penstock::quota
