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
  bool token = !name.empty() && std::all_of(name.begin(), name.end(), is_token);
  std::size_t at = text_.size();
  text_ += name;
  text_ += value;
  note(token ? field_id(name) : FieldId::other, at, name.size(), at + name.size(), value.size());
}

void Fields::note(FieldId id, std::size_t name_at, std::size_t name_size, std::size_t value_at,
                  std::size_t value_size) {
  if (entries_.capacity() == 0) entries_.reserve(16);
  entries_.push_back({static_cast<std::uint32_t>(name_at), static_cast<std::uint32_t>(name_size) & 0xffffffU,
                      static_cast<std::uint32_t>(id), static_cast<std::uint32_t>(value_at),
                      static_cast<std::uint32_t>(value_size)});
  std::uint16_t& first = first_[static_cast<std::size_t>(id)];
  if (first == 0 && id != FieldId::other) first = static_cast<std::uint16_t>(entries_.size());
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
  bool token = !name.empty() && std::all_of(name.begin(), name.end(), is_token);
  if (FieldId id = token ? field_id(name) : FieldId::other; id != FieldId::other) return get(id, found);
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
