// What is known of samples before any comes, put together and shown.
#pragma once

#include <string>
#include <vector>

#include "ingest/contracts.h"

namespace penstock::ingest {

std::string_view to_string(FieldType::Kind kind);

// Of samples that come from either side: the fields of both, as far as they agree. Rates add up.
Shape merged(const Shape& left, const Shape& right);
// The same for samples that take one of two ways: the higher rate.
Shape alternative(const Shape& left, const Shape& right);

// "temp number degC, vib array mm/s, ... at most 200 samples/s"
std::string to_text(const Shape& shape);

}  // namespace penstock::ingest
