// Small things that many steps do with the fields of a sample.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "ingest/contracts.h"

namespace penstock::ingest {

// A number, or true as 1 and false as 0; NaN for texts and arrays.
double number_of(const Value& value);
// NaN also when the sample has no such field.
double number_of(const Sample& sample, std::string_view field);

// Names of fields with at most one `*` for any characters: "motor.*". Without a star it is the name itself.
class NamePattern {
 public:
  // Reports an empty name and a second star at `node`; nothing then.
  static std::optional<NamePattern> read(std::string text, const config::Node& node);

  // What the star stands for (empty without one); nothing when `name` does not fit.
  std::optional<std::string_view> match(std::string_view name) const;
  // This pattern as a template: its star replaced.
  std::string filled(std::string_view star) const;
  bool has_star() const { return star_ != std::string::npos; }
  const std::string& text() const { return text_; }

 private:
  std::string text_;
  std::size_t star_ = std::string::npos;
};

// The first of `patterns` that fits `name`; null for none.
const NamePattern* find_match(const std::vector<NamePattern>& patterns, std::string_view name);
// Reads a text or a list of texts.
std::vector<NamePattern> read_patterns(const config::Node& node);

// "there is no field 'tmp'; did you mean 'temp'?" when `shape` is closed and has no field of that name; empty else.
std::string missing_field(const Shape& shape, std::string_view field);
// The same for a pattern that fits no field of a closed shape.
std::string missing_field(const Shape& shape, const NamePattern& pattern);

}  // namespace penstock::ingest
