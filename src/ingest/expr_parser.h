// Private to the module.
#pragma once

#include "ingest/expr_program.h"

namespace penstock::ingest::detail {

struct Parsed {
  base::Duration hold{};  // of a trailing "for 3s"
};

// Fills `program`. `allow_for`: the text may end in "for DURATION".
Result<Parsed> parse_expression(std::string_view source, bool allow_for, Program& program);

}  // namespace penstock::ingest::detail
