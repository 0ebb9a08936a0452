// What steps ask of a shape in plan(): the type of a field, and how much a held sample can take.
#pragma once

#include <string>
#include <string_view>

#include "ingest/contracts.h"
#include "ingest/expr.h"

namespace penstock::ingest {

// An array whose length is not known at load is taken for one of so many values.
constexpr std::uint64_t kArrayAssumed = 4096;

// Of one sample that is held, with its arrays. Where fields may come that nobody knows of, sixteen numbers are assumed;
// long texts are not in it.
std::uint64_t held_bytes(const Shape& shape);
// How many values a field of this type holds, beyond the one in it: 0 for what is no array.
std::uint64_t array_values(const FieldType& type);

// The type of `name` in a shape. A field that cannot be there is a problem with a hint; the answer is unknown then, as
// it is for one that may be there.
FieldType type_of(const Shape& shape, std::string_view name, std::vector<std::string>& problems);

// The same for a field that has to be a number (or a truth value, counted as 0 and 1), or an array of them.
FieldType numeric_type_of(const Shape& shape, std::string_view name, std::vector<std::string>& problems);

// What can never work in an expression: Expression::gives().
void check_names(const Shape& shape, const Expression& expression, std::vector<std::string>& problems);

}  // namespace penstock::ingest
