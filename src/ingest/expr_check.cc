#include "ingest/expr_check.h"

#include "ingest/expr_lexer.h"

namespace penstock::ingest::detail {
namespace {

using Kind = Term::Kind;

constexpr std::array kFunctions = std::to_array<FunctionInfo>({
    {"abs", Function::abs_, 1, 1, Kind::null},
    {"ceil", Function::ceil_, 1, 1, Kind::number},
    {"clamp", Function::clamp, 3, 3, Kind::number},
    {"coalesce", Function::coalesce, 2, 16, Kind::null},
    {"contains", Function::contains, 2, 2, Kind::boolean},
    {"ends_with", Function::ends_with, 2, 2, Kind::boolean},
    {"exp", Function::exp_, 1, 1, Kind::number},
    {"first", Function::first, 1, 1, Kind::number},
    {"floor", Function::floor_, 1, 1, Kind::number},
    {"has", Function::has, 1, 1, Kind::boolean},
    {"is_null", Function::is_null, 1, 1, Kind::boolean},
    {"last", Function::last, 1, 1, Kind::number},
    {"len", Function::len, 1, 1, Kind::number},
    {"log", Function::log_, 1, 1, Kind::number},
    {"log10", Function::log10_, 1, 1, Kind::number},
    {"lower", Function::lower, 1, 1, Kind::text},
    {"max", Function::max_, 1, 16, Kind::number},
    {"mean", Function::mean, 1, 1, Kind::number},
    {"min", Function::min_, 1, 16, Kind::number},
    {"number", Function::number, 1, 1, Kind::number},
    {"pow", Function::pow_, 2, 2, Kind::number},
    {"round", Function::round_, 1, 2, Kind::number},
    {"sign", Function::sign, 1, 1, Kind::number},
    {"sqrt", Function::sqrt_, 1, 1, Kind::number},
    {"starts_with", Function::starts_with, 2, 2, Kind::boolean},
    {"stddev", Function::stddev, 1, 1, Kind::number},
    {"sum", Function::sum, 1, 1, Kind::number},
    {"text", Function::text, 1, 1, Kind::text},
    {"to", Function::to, 2, 2, Kind::number},
    {"upper", Function::upper, 1, 1, Kind::text},
});

// Functions whose result is in the unit of their first argument.
bool keeps_unit(Function function) {
  switch (function) {
    case Function::abs_:
    case Function::ceil_:
    case Function::clamp:
    case Function::coalesce:
    case Function::first:
    case Function::floor_:
    case Function::last:
    case Function::max_:
    case Function::mean:
    case Function::min_:
    case Function::round_:
    case Function::sum: return true;
    default: return false;
  }
}

bool takes_text(Function function) {
  return function == Function::contains || function == Function::ends_with || function == Function::starts_with ||
         function == Function::lower || function == Function::upper;
}
bool takes_anything(Function function) {
  return function == Function::coalesce || function == Function::has || function == Function::is_null ||
         function == Function::len || function == Function::number || function == Function::text;
}

Result<void> mixed_units(const ExprNode& node, const Unit& left, const Unit& right) {
  return at_column(node.column,
                   fmt::format("{} is a {} and {} a {}: they cannot be compared or combined; convert one "
                               "with to(value, \"unit\") or write the literal in a fitting unit",
                               left.name, to_string(left.dimension), right.name, to_string(right.dimension)));
}

Result<void> needs(const ExprNode& kid, std::initializer_list<Kind> allowed, std::string_view by) {
  if (kid.type == Kind::null || std::find(allowed.begin(), allowed.end(), kid.type) != allowed.end()) return {};
  return at_column(kid.column, fmt::format("{} takes {}, not {}", by, describe(*allowed.begin()), describe(kid.type)));
}

Result<void> check_call(const Program& program, ExprNode& node) {
  const FunctionInfo* info = nullptr;
  for (const FunctionInfo& candidate : kFunctions) {
    if (candidate.function == node.function) info = &candidate;
  }
  if (node.count < info->least || node.count > info->most) {
    return at_column(
        node.column,
        info->least == info->most
            ? fmt::format("{}() takes {} value(s), not {}", info->name, info->least, node.count)
            : fmt::format("{}() takes {} to {} values, not {}", info->name, info->least, info->most, node.count));
  }
  node.type = info->gives;
  const ExprNode& first = program.kid(node, 0);
  if (keeps_unit(node.function)) node.unit = first.unit;
  if (node.function == Function::has && first.op != Op::field && first.op != Op::tag && first.op != Op::array) {
    return at_column(first.column, "has() takes the name of a field or tag: has(temp), has(tags.line)");
  }
  if (node.function == Function::to) {
    const ExprNode& target = program.kid(node, 1);
    const Unit* unit = target.op == Op::literal ? find_unit(target.literal.text) : nullptr;
    if (unit == nullptr) {
      return at_column(target.column,
                       "to() takes a unit in quotes as its second value: to(temp, \"degF\"); "
                       "docs/expressions.md lists the units");
    }
    node.unit = unit;
    if (first.unit != nullptr && first.unit->dimension != unit->dimension) return mixed_units(node, *first.unit, *unit);
    return needs(first, {Kind::number, Kind::array}, "to()");
  }
  std::string name = fmt::format("{}()", info->name);
  for (std::size_t i = 0; i < node.count && !takes_anything(node.function); ++i) {
    const ExprNode& kid = program.kid(node, i);
    auto fits = takes_text(node.function) ? needs(kid, {Kind::text}, name)
                                          : needs(kid, {Kind::number, Kind::array, Kind::boolean}, name);
    if (!fits) return fits;
  }
  return {};
}

Result<void> check_arithmetic(const Program& program, ExprNode& node) {
  const ExprNode& left = program.kid(node, 0);
  const ExprNode& right = program.kid(node, 1);
  for (const ExprNode* kid : {&left, &right}) {
    auto fits = needs(*kid, {Kind::number, Kind::array, Kind::boolean}, "arithmetic");
    if (!fits) return fits;
  }
  if (left.type == Kind::array || right.type == Kind::array) {
    node.type = Kind::array;
  } else if (left.type != Kind::null && right.type != Kind::null) {
    node.type = Kind::number;
  }
  bool both = left.unit != nullptr && right.unit != nullptr;
  if (node.op == Op::add || node.op == Op::subtract || node.op == Op::modulo) {
    if (both && left.unit->dimension != right.unit->dimension) return mixed_units(node, *left.unit, *right.unit);
    bool temperatures = both && left.unit->offset != 0 && right.unit->offset != 0;
    if (temperatures && node.op == Op::add) {
      return at_column(node.column, "two temperatures cannot be added; write the difference in K: temp + 5K");
    }
    const Unit* unit = left.unit == nullptr && left.op == Op::literal ? right.unit : left.unit;
    node.unit = temperatures ? find_unit("K") : unit;
  }
  return {};
}

Result<void> check_comparison(const Program& program, ExprNode& node) {
  node.type = Kind::boolean;
  const ExprNode& left = program.kid(node, 0);
  const ExprNode& right = program.kid(node, 1);
  for (const ExprNode* kid : {&left, &right}) {
    if (kid->op == Op::literal && kid->literal.is_null()) {
      return at_column(kid->column, "comparing with null is always false; write is_null(x) or not is_null(x)");
    }
    if (kid->type == Kind::array)
      return at_column(kid->column, "an array has no order; compare len(), max() or one element");
  }
  bool known = left.type != Kind::null && right.type != Kind::null;
  bool text = left.type == Kind::text || right.type == Kind::text;
  if (known && text && left.type != right.type) {
    return at_column(node.column, fmt::format("{} never equals {}; texts stand in quotes, numbers do not",
                                              describe(left.type), describe(right.type)));
  }
  if (left.unit != nullptr && right.unit != nullptr && left.unit->dimension != right.unit->dimension) {
    return mixed_units(node, *left.unit, *right.unit);
  }
  return {};
}

Result<void> check_list(const Program& program, ExprNode& node) {
  node.type = Kind::array;
  for (std::size_t i = 0; i < node.count; ++i) {
    auto fits = needs(program.kid(node, i), {Kind::number, Kind::array, Kind::boolean}, "an array");
    if (!fits) return fits;
  }
  return {};
}

Result<void> check_logic(const Program& program, ExprNode& node) {
  node.type = Kind::boolean;
  for (std::size_t i = 0; i < node.count; ++i) {
    auto fits = needs(program.kid(node, i), {Kind::boolean, Kind::number}, "and, or, not");
    if (!fits) return fits;
  }
  return {};
}

Result<void> check_choose(const Program& program, ExprNode& node) {
  const ExprNode& yes = program.kid(node, 1);
  const ExprNode& no = program.kid(node, 2);
  if (yes.type == no.type) node.type = yes.type;
  if (yes.unit == no.unit) node.unit = yes.unit;
  return needs(program.kid(node, 0), {Kind::boolean, Kind::number}, "?:");
}

}  // namespace

std::span<const FunctionInfo> functions() { return kFunctions; }

std::string_view describe(Kind kind) {
  switch (kind) {
    case Kind::null: return "nothing";
    case Kind::boolean: return "true or false";
    case Kind::number: return "a number";
    case Kind::text: return "a text";
    case Kind::array: return "an array";
  }
  return "a value";
}

std::string_view expected(Expression::Wants wants) {
  switch (wants) {
    case Expression::Wants::condition: return "a condition that is true or false, such as temp > 80degC";
    case Expression::Wants::number: return "a number";
    case Expression::Wants::array: return "an array, such as vib[] or [a, b]";
    case Expression::Wants::any: break;
  }
  return "any value";
}

bool is_comparison(Op op) { return op >= Op::less && op <= Op::not_equal; }
bool is_arithmetic(Op op) { return op >= Op::add && op <= Op::modulo; }

Result<void> check_node(const Program& program, ExprNode& node) {
  if (is_arithmetic(node.op)) return check_arithmetic(program, node);
  if (is_comparison(node.op)) return check_comparison(program, node);
  switch (node.op) {
    case Op::literal:
      node.type = node.literal.kind;
      node.unit = node.literal.unit;
      return {};
    case Op::device:
    case Op::quality:
    case Op::tag:
    case Op::alarm_name: node.type = Kind::text; return {};
    case Op::alarm_raised: node.type = Kind::boolean; return {};
    case Op::array: node.type = Kind::array; return {};
    case Op::time:
      node.type = Kind::number;
      node.unit = find_unit("s");
      return {};
    case Op::index:
      node.type = Kind::number;
      node.unit = program.kid(node, 0).unit;
      if (auto fits = needs(program.kid(node, 0), {Kind::array}, "[ ]"); !fits) return fits;
      return needs(program.kid(node, 1), {Kind::number}, "[ ]");
    case Op::list: return check_list(program, node);
    case Op::negate:
      node.type = program.kid(node, 0).type;
      node.unit = program.kid(node, 0).unit;
      return needs(program.kid(node, 0), {Kind::number, Kind::array, Kind::boolean}, "arithmetic");
    case Op::logic_not:
    case Op::logic_and:
    case Op::logic_or: return check_logic(program, node);
    case Op::choose: return check_choose(program, node);
    case Op::call: return check_call(program, node);
    default: return {};
  }
}

}  // namespace penstock::ingest::detail
