// Steps that make a new field out of one: `field: vib, as: vib_rate`, or `fields: [vib, temp]` with names by rule.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/document.h"
#include "ingest/sample.h"

namespace penstock::ingest {

struct DerivedField {
  std::string from;
  std::string to;
  bool operator==(const DerivedField&) const = default;
};

// Reads `field` with an optional `as`, or `fields`; without `as` a name is `<field><suffix>`. Empty after a mistake,
// which is reported.
std::vector<DerivedField> read_derived_fields(config::Map& map, std::string_view suffix);

// A finite number; booleans count as 0 and 1. Nothing for anything else.
std::optional<double> number_in(const Field* field);

}  // namespace penstock::ingest
