// The compiled form of an expression. Private to the module: expr_parser.cc writes it, expr_eval.cc runs it.
#pragma once

#include "ingest/expr.h"

namespace penstock::ingest::detail {

enum class Op : std::uint8_t {
  literal,
  field,  // name
  array,  // name[]: the array of that name
  device,
  quality,
  time,
  tag,  // tags.NAME
  alarm_name,
  alarm_raised,
  index,  // kids: array, position
  list,   // [a, b, c]
  negate,
  logic_not,
  add,
  subtract,
  multiply,
  divide,
  modulo,
  less,
  less_equal,
  greater,
  greater_equal,
  equal,
  not_equal,
  logic_and,
  logic_or,
  choose,  // kids: condition, then, else
  call,
};

enum class Function : std::uint8_t {
  abs_,
  ceil_,
  clamp,
  coalesce,
  contains,
  ends_with,
  exp_,
  first,
  floor_,
  has,
  is_null,
  last,
  len,
  log_,
  log10_,
  lower,
  max_,
  mean,
  min_,
  number,
  pow_,
  round_,
  sign,
  sqrt_,
  starts_with,
  stddev,
  sum,
  text,
  to,
  upper,
};

struct FunctionInfo {
  std::string_view name;
  Function function;
  std::size_t least;
  std::size_t most;
  Term::Kind gives;  // null: depends on the arguments
};
std::span<const FunctionInfo> functions();

struct ExprNode {
  Op op = Op::literal;
  Function function = Function::abs_;
  std::uint16_t column = 1;
  std::uint16_t first = 0;  // children: kids[first, first + count)
  std::uint16_t count = 0;
  std::uint16_t name = 0;  // index into Program::names, for fields and tags
  // What is known before any sample is seen; null kind: nothing.
  Term::Kind type = Term::Kind::null;
  const Unit* unit = nullptr;
  Term literal;  // its text points into Program::texts
  // The unit text seen last on this field and what it means: units hardly ever change.
  mutable std::string unit_seen;
  mutable const Unit* unit_meaning = nullptr;
};

// Arrays and texts made while evaluating; emptied at the start of each evaluation.
struct Scratch {
  bool certain = false;  // comparisons and logic of what is null are null: Expression::certain()
  std::deque<std::vector<double>> arrays;
  std::deque<std::string> texts;
};

struct Program {
  std::string source;
  std::vector<ExprNode> nodes;
  std::vector<std::uint16_t> kids;
  std::vector<std::string> names;        // as looked up
  std::vector<std::string> array_names;  // names[i] + "[]"
  std::deque<std::string> texts;
  std::vector<std::string> mentioned;  // for Expression::names()
  std::uint16_t root = 0;
  Expression::Wants wants = Expression::Wants::any;
  mutable Scratch scratch;

  const ExprNode& kid(const ExprNode& node, std::size_t i) const { return nodes[kids[node.first + i]]; }
};

Term run(const Program& program, const ExprNode& node, const Sample& sample);
Term run_call(const Program& program, const ExprNode& node, const Sample& sample);
// Arithmetic on two numbers or element by element; comparison. Null when units or types do not fit.
Term arithmetic(Op op, const Term& left, const Term& right, Scratch& scratch);
Term compare(Op op, const Term& left, const Term& right);
// What a condition makes of a term that has to be one: nothing for null, text and arrays.
std::optional<bool> certain_truth(const Term& term);
// `value` in the unit of `like`; nothing when that is impossible. A number without a unit is taken as it is.
std::optional<double> in_unit_of(const Term& value, const Unit* like);

}  // namespace penstock::ingest::detail
