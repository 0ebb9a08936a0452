#include "wire/fields.h"

#include <algorithm>

#include "wire/chars.h"

namespace penstock::wire {

bool equal_ignoring_case(std::string_view a, std::string_view b) {
  return a.size() == b.size() &&
         std::equal(a.begin(), a.end(), b.begin(), [](char x, char y) { return lower(x) == lower(y); });
}

void Fields::clear() {
  text_.clear();
  entries_.clear();
  first_.fill(0);
}

void Fields::add(std::string_view name, std::string_view value) {
  auto at = static_cast<std::uint32_t>(text_.size());
  auto name_size = static_cast<std::uint32_t>(name.size());
  text_ += name;
  text_ += value;
  note(field_id(name), at, name_size, at + name_size, static_cast<std::uint32_t>(value.size()));
}

Fields::Field Fields::at(std::size_t index) const {
  const Entry& entry = entries_[index];
  return {std::string_view(text_).substr(entry.name_at, entry.name_size), value_of(entry),
          static_cast<FieldId>(entry.id)};
}

std::string_view Fields::get(FieldId id, bool* found) const {
  std::size_t first = first_[static_cast<std::size_t>(id)];
  if (found != nullptr) *found = first != 0;
  return first == 0 ? std::string_view() : value_of(entries_[first - 1]);
}

std::string_view Fields::get(std::string_view name, bool* found) const {
  if (FieldId id = field_id(name); id != FieldId::other) return get(id, found);
  for (const Entry& entry : entries_) {
    if (entry.name_size != name.size() ||
        !equal_ignoring_case(std::string_view(text_).substr(entry.name_at, entry.name_size), name))
      continue;
    if (found != nullptr) *found = true;
    return value_of(entry);
  }
  if (found != nullptr) *found = false;
  return {};
}

bool Fields::has(std::string_view name) const {
  bool found = false;
  get(name, &found);
  return found;
}

}  // namespace penstock::wire
