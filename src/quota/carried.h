// What another process of this gateway counted, while the two take turns in an upgrade.
#pragma once

#include "quota/book.h"

namespace penstock::quota {

// For Book::restore(), of accounts in use: adds what was spent (and held, which counts as spent) from one state of an
// account to the next; empty ones are those of nothing. An account that is not there yet is a not_found among the
// errors: it may come.
//
// As long as both give out of the same budgets, Book::set_sharing() is to be called with `on` false and two `gateways`:
// of hard budgets each gives out half of what is left then; calls beyond that wait.
Checkpoint carried(std::string_view account, std::string_view before, std::string_view after);

}  // namespace penstock::quota
