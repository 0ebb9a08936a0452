// Header fields in arrival order, as places in one block of text. Names compare without case.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "wire/field_id.h"

namespace penstock::wire {

bool equal_ignoring_case(std::string_view a, std::string_view b);

// Views it gives stay valid until the next add() or clear(). Clearing keeps the memory.
class Fields {
 public:
  struct Field {
    std::string_view name;
    std::string_view value;
    FieldId id = FieldId::other;
  };
  void clear();
  void add(std::string_view name, std::string_view value);
  // The first with that name, or empty. `found` tells an empty value from none. A known id costs one array access.
  std::string_view get(FieldId id, bool* found = nullptr) const;
  std::string_view get(std::string_view name, bool* found = nullptr) const;
  bool has(FieldId id) const { return first_[static_cast<std::size_t>(id)] != 0; }
  bool has(std::string_view name) const;
  std::size_t size() const { return entries_.size(); }
  Field at(std::size_t index) const;

  // For parsers: the text that places refer to, and a field as places in it (which the text may still have to get).
  std::string& text() { return text_; }
  std::string_view text() const { return text_; }
  void note(FieldId id, std::uint32_t name_at, std::uint32_t name_size, std::uint32_t value_at,
            std::uint32_t value_size) {
    if (entries_.capacity() == 0) entries_.reserve(16);
    entries_.emplace_back(name_at, name_size, value_at, value_size, id);
    std::uint16_t& first = first_[static_cast<std::size_t>(id)];
    if (first == 0 && id != FieldId::other) first = static_cast<std::uint16_t>(entries_.size());
  }

 private:
  struct Entry {
    std::uint32_t name_at;
    std::uint32_t name_size;
    std::uint32_t value_at;
    std::uint32_t value_size;
    FieldId id;
  };
  std::string_view value_of(const Entry& entry) const {
    return std::string_view(text_).substr(entry.value_at, entry.value_size);
  }

  std::string text_;
  std::vector<Entry> entries_;
  std::array<std::uint16_t, kFieldIds> first_{};  // one more than the index of the first field with that id
};

}  // namespace penstock::wire
