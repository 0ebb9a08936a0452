#include "quota/book_impl.h"

namespace penstock::quota {

std::vector<SharedUse> Book::shared_uses(const Now&) { return {}; }
void Book::apply(const std::vector<SharedSum>&, const Now&) {}
void Book::set_sharing(const SharingState&, const Now&) {}

}  // namespace penstock::quota
