// Usage as CSV and JSON, for the admin API and the command line.
#pragma once

#include <functional>
#include <string_view>

#include "store/ledger.h"

namespace penstock::store {

// csv: RFC 4180 with a line of names. Cells of text that a spreadsheet would take for a formula (they begin with = + -
// @, a tab or a return) get an apostrophe in front, as spreadsheets themselves mark text. json:
// {"usage":[…],"since":"…","until":"…"}. ndjson: an object a line. Columns: `time` (RFC 3339) when rows are per day,
// hour or minute; the names rows are apart by; the sums, with `cost_usd` (six decimals, exact) and `waited_seconds`.
enum class UsageFormat : std::uint8_t { csv, json, ndjson };
Result<UsageFormat> parse_format(std::string_view text);  // Errors: invalid_argument
std::string_view content_type(UsageFormat format);

// Takes the next piece, some 32 KiB; false ends the export, which is no error.
using UsageSink = std::function<bool(std::string_view)>;
// What fails after the first piece leaves it without its end.
Result<void> export_usage(Ledger& ledger, const UsageQuery& query, UsageFormat format, const UsageSink& sink);

}  // namespace penstock::store
