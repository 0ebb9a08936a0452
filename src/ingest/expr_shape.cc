// What an expression gives for samples of a known shape: the checks of expr_check.cc once more, with the fields' kinds
// and units.
#include "base/quantity.h"
#include "ingest/contracts.h"
#include "ingest/expr_check.h"
#include "ingest/expr_lexer.h"

namespace penstock::ingest {
namespace {

using detail::ExprNode;
using detail::Function;
using detail::Op;
using detail::Program;
using Kind = Term::Kind;

Kind term_kind(FieldType::Kind kind) {
  switch (kind) {
    case FieldType::Kind::boolean: return Kind::boolean;
    case FieldType::Kind::number: return Kind::number;
    case FieldType::Kind::text: return Kind::text;
    case FieldType::Kind::array: return Kind::array;
    case FieldType::Kind::unknown: break;
  }
  return Kind::null;
}

FieldType::Kind field_kind(Kind kind) {
  switch (kind) {
    case Kind::boolean: return FieldType::Kind::boolean;
    case Kind::number: return FieldType::Kind::number;
    case Kind::text: return FieldType::Kind::text;
    case Kind::array: return FieldType::Kind::array;
    case Kind::null: break;
  }
  return FieldType::Kind::unknown;
}

// What stands around a node decides how it is read.
struct Place {
  bool as_array = false;   // the x of x[0]
  bool asked_for = false;  // the x of has(x)
};

std::vector<Place> places_of(const Program& program) {
  std::vector<Place> places(program.nodes.size());
  for (const ExprNode& node : program.nodes) {
    if (node.op == Op::index) places[program.kids[node.first]].as_array = true;
    bool asks = node.op == Op::call && (node.function == Function::has || node.function == Function::is_null);
    if (asks) places[program.kids[node.first]].asked_for = true;
  }
  return places;
}

const FieldType* find(const Shape& in, const std::string& name) {
  auto found = in.fields.find(name);
  return found == in.fields.end() ? nullptr : &found->second;
}

const FieldType* type_of(const Program& program, const ExprNode& node, const Place& place, const Shape& in) {
  const FieldType* array = node.op == Op::array || place.as_array ? find(in, program.array_names[node.name]) : nullptr;
  return array != nullptr ? array : find(in, program.names[node.name]);
}

std::string no_such_field(const std::string& name, const Shape& in) {
  std::vector<std::string> names;
  for (const auto& [known, type] : in.fields) names.push_back(known);
  if (auto hint = base::closest(name, names)) {
    return fmt::format("there is no field '{}' here; did you mean '{}'?", name, *hint);
  }
  if (names.empty()) return fmt::format("there is no field '{}' here: the samples have none", name);
  return fmt::format("there is no field '{}' here; there {} {}", name, names.size() == 1 ? "is" : "are",
                     fmt::join(names, ", "));
}

Result<void> check_field(const Program& program, ExprNode& node, const Place& place, const Shape& in) {
  const FieldType* type = type_of(program, node, place, in);
  if (type == nullptr) {
    if (in.open || place.asked_for) return {};
    return detail::at_column(node.column, no_such_field(program.names[node.name], in));
  }
  node.unit = find_unit(type->unit);
  if (node.op == Op::field && !place.as_array) {
    node.type = term_kind(type->kind);
    return {};
  }
  node.type = Kind::array;
  if (type->kind != FieldType::Kind::text && type->kind != FieldType::Kind::boolean) return {};
  return detail::at_column(node.column, fmt::format("'{}' is {} and has no elements", program.names[node.name],
                                                    detail::describe(term_kind(type->kind))));
}

// The unit of a product, where it is certain: as at run time, with a percentage or a plain number on one side.
const Unit* unit_of_product(const Program& program, const ExprNode& node) {
  const auto plain = [](const ExprNode& kid) {
    return (kid.op == Op::literal && kid.unit == nullptr) ||
           (kid.unit != nullptr && kid.unit->dimension == Dimension::ratio);
  };
  const ExprNode& left = program.kid(node, 0);
  const ExprNode& right = program.kid(node, 1);
  if (left.unit != nullptr && !plain(left) && plain(right)) return left.unit;
  if (node.op == Op::multiply && right.unit != nullptr && !plain(right) && plain(left)) return right.unit;
  return nullptr;
}

Result<void> check_in(Program& program, const Shape& in) {
  const std::vector<Place> places = places_of(program);
  for (std::size_t i = 0; i < program.nodes.size(); ++i) {  // children stand before their parents
    ExprNode& node = program.nodes[i];
    auto fits = node.op == Op::field || node.op == Op::array ? check_field(program, node, places[i], in)
                                                             : detail::check_node(program, node);
    if (!fits) return fits;
    if (node.op == Op::multiply || node.op == Op::divide) node.unit = unit_of_product(program, node);
  }
  const ExprNode& root = program.nodes[program.root];
  bool never = root.type == Kind::text || (root.type == Kind::array && program.wants != Expression::Wants::array);
  if (program.wants == Expression::Wants::any || !never) return {};
  return detail::at_column(root.column, fmt::format("this gives {}; expected is {}", detail::describe(root.type),
                                                    detail::expected(program.wants)));
}

}  // namespace

FieldType Expression::gives(const Shape& in, StepPlan& plan) const {
  Program typed = *program_;
  auto fits = check_in(typed, in);
  if (!fits) {
    plan.problems.push_back(fmt::format("in the expression \"{}\", {}", text(), fits.error().detail));
    return {};
  }
  const ExprNode& root = typed.nodes[typed.root];
  FieldType type{field_kind(root.type), root.unit == nullptr ? std::string() : std::string(root.unit->name)};
  if (root.op != Op::field) return type;
  // A unit that is not in the table is carried along.
  if (const FieldType* field = find(in, typed.names[root.name])) type.unit = field->unit;
  return type;
}

}  // namespace penstock::ingest
