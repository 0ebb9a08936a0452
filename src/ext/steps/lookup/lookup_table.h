// A table of fields by a key, from a file or from the configuration.
#pragma once

#include <string>
#include <unordered_map>
#include <vector>

#include "ingest/contracts.h"

namespace penstock::ext::steps {

constexpr std::size_t kLookupBytesMax = 16U << 20;
constexpr std::size_t kLookupRowsMax = 100'000;

using LookupRow = std::vector<ingest::Field>;
using LookupTable = std::unordered_map<std::string, LookupRow>;

// Reads a file as samples are read: CSV when its name ends in .csv (ingest/csv.h), else JSON or lines of JSON
// (ingest/sample_json.h). `key` is the column that holds the key; it is no field of the row. Blocks. Errors name the
// file and the line; a key that stands twice is one.
Result<LookupTable> load_lookup_table(const std::string& path, const std::string& key);

// What a value is looked up by: 7 and "7" are the same key. Empty for an array.
std::string lookup_key(const ingest::Value& value);

}  // namespace penstock::ext::steps
