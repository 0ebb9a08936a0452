// What can be known about an expression before any sample is seen. Private to the module.
#pragma once

#include "ingest/expr_program.h"

namespace penstock::ingest::detail {

// "a number", "true or false", ...
std::string_view describe(Term::Kind kind);
// "a number", "a condition that ...": what a place wants.
std::string_view expected(Expression::Wants wants);
bool is_comparison(Op op);
bool is_arithmetic(Op op);

// Sets node.type and node.unit from its children; an error, with its column, when the node can only ever be null or is
// a slip: a text in arithmetic, incompatible units, a wrong number of arguments.
Result<void> check_node(const Program& program, ExprNode& node);

}  // namespace penstock::ingest::detail
