// A few integers out of a JSON text, without building a document: what accounting reads of an answer.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "base/result.h"

namespace penstock::json {

constexpr std::size_t kPathNamesMax = 4;

// One integer asked for, and what was found of it.
struct IntegerAt {
  // The names from the top of the document, 1 to kPathNamesMax; the rest stays empty.
  std::array<std::string_view, kPathNamesMax> path;
  // The object around it is there; for a path of one name, the document is an object.
  bool parent = false;
  // The number there when it is a whole one of 64 bits, also when written as 12.0 or 1e3; else nothing.
  std::optional<std::int64_t> value = {};

  // `value` when it is from 0 to `most`, else 0.
  std::int64_t up_to(std::int64_t most) const { return value && *value >= 0 && *value <= most ? *value : 0; }
};

// Checks the whole of `text` (RFC 8259, UTF-8, at most kDepthMax deep; numbers of any size) and fills in `wanted`, in
// one pass and without allocating. Of a member given twice the last one counts. What `wanted` held before is forgotten.
Result<void> read_integers(std::string_view text, std::span<IntegerAt> wanted);

// Whether a member of this name may stand somewhere in `text` with a value other than null. A quick look to spare most
// texts a closer one: true for some texts that have none, false only for those that have none or spell the name with
// escapes. `name` itself needs none.
bool may_hold(std::string_view text, std::string_view name);

}  // namespace penstock::json
