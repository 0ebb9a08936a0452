#include "token/vocabulary.h"

#include <algorithm>

namespace penstock::token {

void Vocabulary::grow() {
  std::size_t wanted = std::max<std::size_t>(64, slots_.size() * 2);
  slots_.assign(wanted, Slot{0, kNone});
  for (std::uint32_t i = 0; i < entries_.size(); ++i) {
    std::uint64_t value = hash(text_of(entries_[i]));
    std::size_t at = place(value) & (wanted - 1);
    while (slots_[at].entry != kNone) at = (at + 1) & (wanted - 1);
    slots_[at] = {mark(value), i};
  }
}

bool Vocabulary::add(std::string_view token, std::uint32_t id) {
  if (find(token) != kNone) return false;
  if (entries_.size() * 2 >= slots_.size()) grow();
  std::uint64_t value = hash(token);
  std::size_t at = place(value) & (slots_.size() - 1);
  while (slots_[at].entry != kNone) at = (at + 1) & (slots_.size() - 1);
  slots_[at] = {mark(value), static_cast<std::uint32_t>(entries_.size())};
  entries_.push_back({static_cast<std::uint32_t>(pool_.size()), static_cast<std::uint32_t>(token.size()), id});
  pool_ += token;
  longest_ = std::max(longest_, token.size());
  end_id_ = std::max(end_id_, id + 1);
  return true;
}

std::uint32_t Vocabulary::find(std::string_view token, std::uint64_t hash) const {
  if (slots_.empty()) return kNone;
  for (std::size_t at = place(hash) & (slots_.size() - 1);; at = (at + 1) & (slots_.size() - 1)) {
    const Slot& slot = slots_[at];
    if (slot.entry == kNone) return kNone;
    if (slot.mark == mark(hash) && text_of(entries_[slot.entry]) == token) return entries_[slot.entry].id;
  }
}

}  // namespace penstock::token
