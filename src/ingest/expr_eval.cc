#include <cmath>

#include "ingest/expr_program.h"

namespace penstock::ingest::detail {
namespace {

using Kind = Term::Kind;

std::string_view to_text(Quality quality) {
  return quality == Quality::good ? "good" : quality == Quality::uncertain ? "uncertain" : "bad";
}

// The unit of a field, looked up again only when its text changed.
const Unit* unit_of(const ExprNode& node, const std::string& text) {
  if (text != node.unit_seen) {
    node.unit_seen = text;
    node.unit_meaning = find_unit(text);
  }
  return node.unit_meaning;
}

Term term_of_field(const ExprNode& node, const Field& field) {
  Term term;
  switch (field.value.index()) {
    case 0: return term_of(*std::get_if<bool>(&field.value));
    case 1: term = term_of(static_cast<double>(*std::get_if<std::int64_t>(&field.value))); break;
    case 2: term = term_of(*std::get_if<double>(&field.value)); break;
    case 3: return term_of(std::string_view(*std::get_if<std::string>(&field.value)));
    default: term = term_of(std::span<const double>(*std::get_if<std::vector<double>>(&field.value))); break;
  }
  // A value that is no number is as good as a missing one.
  if (term.kind == Kind::number && std::isnan(term.number)) return {};
  if (!field.unit.empty()) {
    term.unit = unit_of(node, field.unit);
    term.unit_name = field.unit;
  }
  return term;
}

Term load_field(const Program& program, const ExprNode& node, const Sample& sample) {
  const Field* field = sample.find(program.names[node.name]);
  return field == nullptr ? Term() : term_of_field(node, *field);
}

// name[]: the window's array of that name, else the field itself when it is an array or one number.
Term load_array(const Program& program, const ExprNode& node, const Sample& sample) {
  const Field* field = sample.find(program.array_names[node.name]);
  if (field == nullptr) field = sample.find(program.names[node.name]);
  if (field == nullptr) return {};
  Term term = term_of_field(node, *field);
  if (term.kind == Kind::number) {
    term.array = program.scratch.arrays.emplace_back(1, term.number);
    term.kind = Kind::array;
  }
  return term.kind == Kind::array ? term : Term();
}

Term load_tag(const Program& program, const ExprNode& node, const Sample& sample) {
  for (const auto& [name, value] : sample.tags) {
    if (name == program.names[node.name]) return term_of(std::string_view(value));
  }
  return {};
}

Term element(const Program& program, const ExprNode& node, const Sample& sample) {
  const ExprNode& source = program.kid(node, 0);
  Term array = source.op == Op::field ? load_array(program, source, sample) : run(program, source, sample);
  Term position = run(program, program.kid(node, 1), sample);
  if (array.kind != Kind::array || position.kind != Kind::number || !std::isfinite(position.number)) return {};
  double at = std::trunc(position.number);
  auto size = static_cast<double>(array.array.size());
  if (at < 0) at += size;
  if (at < 0 || at >= size) return {};
  Term term = term_of(array.array[static_cast<std::size_t>(at)], array.unit);
  term.unit_name = array.unit_name;
  return std::isnan(term.number) ? Term() : term;
}

Term make_list(const Program& program, const ExprNode& node, const Sample& sample) {
  // Built aside: the elements may themselves put arrays into the scratch space.
  std::vector<double> values;
  for (std::size_t i = 0; i < node.count; ++i) {
    Term term = run(program, program.kid(node, i), sample);
    if (term.kind == Kind::number) {
      values.push_back(term.number);
    } else if (term.kind == Kind::boolean) {
      values.push_back(term.boolean ? 1 : 0);
    } else if (term.kind == Kind::array) {
      values.insert(values.end(), term.array.begin(), term.array.end());
    } else {
      return {};
    }
    if (values.size() > kExprArrayMax) return {};
  }
  return term_of(std::span<const double>(program.scratch.arrays.emplace_back(std::move(values))));
}

// Numbers and booleans as numbers; nothing for the rest.
std::optional<double> as_number(const Term& term) {
  if (term.kind == Kind::number) return term.number;
  if (term.kind == Kind::boolean) return term.boolean ? 1 : 0;
  return std::nullopt;
}

double calculate(Op op, double left, double right) {
  switch (op) {
    case Op::add: return left + right;
    case Op::subtract: return left - right;
    case Op::multiply: return left * right;
    case Op::divide: return left / right;
    default: return std::fmod(left, right);
  }
}

// Units of both sides made alike. `factor` and `shift` turn a right-hand number into what is calculated with.
struct Units {
  bool fit = true;
  double left_factor = 1;
  double factor = 1;
  double shift = 0;
  const Unit* unit = nullptr;
  std::string_view name;
};

Units units_of_sum(Op op, const Term& left, const Term& right) {
  Units units;
  units.unit = left.unit != nullptr ? left.unit : right.unit;
  units.name = !left.unit_name.empty() ? left.unit_name : right.unit_name;
  if (left.unit == nullptr || right.unit == nullptr || left.unit == right.unit) {
    // Texts that are not in the table are only equal to themselves.
    if (left.unit == right.unit && !left.unit_name.empty() && !right.unit_name.empty() &&
        left.unit_name != right.unit_name) {
      units.fit = left.unit != nullptr;
    }
    if (left.unit != nullptr && left.unit == right.unit && left.unit->offset != 0) {
      // The difference of two temperatures is one in kelvin; their sum has no meaning.
      units.fit = op == Op::subtract;
      units.left_factor = units.factor = left.unit->factor;
      units.unit = find_unit("K");
      units.name = "K";
    }
    return units;
  }
  if (left.unit->dimension != right.unit->dimension) {
    units.fit = false;
  } else if (left.unit->offset == 0) {
    units.factor = right.unit->factor / left.unit->factor;
    units.shift = (right.unit->offset - left.unit->offset) / left.unit->factor;
  } else if (right.unit->offset == 0) {
    units.factor = right.unit->factor / left.unit->factor;  // kelvin on the right is a difference
  } else {
    units.fit = op == Op::subtract;  // degC - degF: in kelvin
    units.left_factor = left.unit->factor;
    units.factor = right.unit->factor;
    units.shift = right.unit->offset - left.unit->offset;
    units.unit = find_unit("K");
    units.name = "K";
  }
  return units;
}

Units units_of_product(Op op, const Term& left, const Term& right) {
  Units units;
  bool left_percent = left.unit != nullptr && left.unit->dimension == Dimension::ratio;
  bool right_percent = right.unit != nullptr && right.unit->dimension == Dimension::ratio;
  if (right_percent) {
    units.factor = right.unit->factor;  // 200 * 5% is 10
  } else if (left.unit != nullptr && right.unit != nullptr && op == Op::divide &&
             left.unit->dimension == right.unit->dimension) {
    units.factor = right.unit->factor / left.unit->factor;  // a plain ratio
    return units;
  }
  if (left_percent) units.left_factor = left.unit->factor;
  bool left_has = !left.unit_name.empty() && !left_percent;
  bool right_has = !right.unit_name.empty() && !right_percent;
  // The product of two units, or one divided by a unit, has none that the table knows.
  if (left_has && !right_has) {
    units.unit = left.unit;
    units.name = left.unit_name;
  } else if (right_has && !left_has && op == Op::multiply) {
    units.unit = right.unit;
    units.name = right.unit_name;
  }
  return units;
}

}  // namespace

std::optional<double> in_unit_of(const Term& value, const Unit* like) {
  auto number = as_number(value);
  if (!number || like == nullptr || value.unit == like) return number;
  if (value.unit == nullptr) return value.unit_name.empty() ? number : std::nullopt;
  if (value.unit->dimension != like->dimension) return std::nullopt;
  return convert(*number, *value.unit, *like);
}

Term arithmetic(Op op, const Term& left, const Term& right, Scratch& scratch) {
  bool sum = op == Op::add || op == Op::subtract || op == Op::modulo;
  Units units = sum ? units_of_sum(op, left, right) : units_of_product(op, left, right);
  if (!units.fit) return {};
  auto one = [&](double a, double b) { return calculate(op, a * units.left_factor, b * units.factor + units.shift); };
  Term result;
  if (left.kind != Kind::array && right.kind != Kind::array) {
    auto a = as_number(left);
    auto b = as_number(right);
    if (!a || !b) return {};
    result = term_of(one(*a, *b));
    if (!std::isfinite(result.number)) return {};  // division by zero, overflow
  } else {
    std::size_t size = left.kind == Kind::array ? left.array.size() : right.array.size();
    if (size > kExprArrayMax) return {};
    auto a = as_number(left);
    auto b = as_number(right);
    if (left.kind == Kind::array && right.kind == Kind::array && right.array.size() != size) return {};
    if ((left.kind != Kind::array && !a) || (right.kind != Kind::array && !b)) return {};
    std::vector<double>& values = scratch.arrays.emplace_back(size);
    for (std::size_t i = 0; i < size; ++i) {
      values[i] = one(left.kind == Kind::array ? left.array[i] : *a, right.kind == Kind::array ? right.array[i] : *b);
    }
    result = term_of(std::span<const double>(values));
  }
  result.unit = units.unit;
  result.unit_name = units.name;
  return result;
}

namespace {

Term ordered(Op op, int order) {
  switch (op) {
    case Op::less: return term_of(order < 0);
    case Op::less_equal: return term_of(order <= 0);
    case Op::greater: return term_of(order > 0);
    case Op::greater_equal: return term_of(order >= 0);
    case Op::equal: return term_of(order == 0);
    default: return term_of(order != 0);
  }
}

}  // namespace

Term compare(Op op, const Term& left, const Term& right) {
  if (left.is_null() || right.is_null()) return term_of(false);
  if (left.kind == Kind::text && right.kind == Kind::text) return ordered(op, left.text.compare(right.text));
  auto b = as_number(right);
  if (!as_number(left) || !b) return {};
  // In the unit of the side that has the finer knowledge: the right one, usually the literal.
  const Unit* unit = right.unit != nullptr ? right.unit : left.unit;
  bool foreign = right.unit == nullptr && !right.unit_name.empty();
  if (foreign && left.unit_name != right.unit_name && !left.unit_name.empty()) return {};
  auto a = in_unit_of(left, right.unit != nullptr ? unit : nullptr);
  if (!a) return {};
  return ordered(op, *a < *b ? -1 : *a > *b ? 1 : 0);
}

std::optional<bool> certain_truth(const Term& term) {
  if (term.kind != Kind::boolean && term.kind != Kind::number) return std::nullopt;
  return term.truth();
}

namespace {

// Kleene's: null unless the side that is known decides.
Term certain_logic(const Program& program, const ExprNode& node, const Sample& sample) {
  auto left = certain_truth(run(program, program.kid(node, 0), sample));
  if (node.op == Op::logic_not) return left ? term_of(!*left) : Term();
  const bool decides = node.op == Op::logic_or;
  if (left == decides) return term_of(decides);
  auto right = certain_truth(run(program, program.kid(node, 1), sample));
  if (right == decides) return term_of(decides);
  return left && right ? term_of(!decides) : Term();
}

Term logic(const Program& program, const ExprNode& node, const Sample& sample) {
  if (program.scratch.certain) return certain_logic(program, node, sample);
  bool left = run(program, program.kid(node, 0), sample).truth();
  if (node.op == Op::logic_not) return term_of(!left);
  if (left == (node.op == Op::logic_or)) return term_of(left);
  return term_of(run(program, program.kid(node, 1), sample).truth());
}

Term two_sided(const Program& program, const ExprNode& node, const Sample& sample) {
  Term left = run(program, program.kid(node, 0), sample);
  Term right = run(program, program.kid(node, 1), sample);
  const bool unknown = left.is_null() || right.is_null();
  if (node.op >= Op::less && !(unknown && program.scratch.certain)) return compare(node.op, left, right);
  if (unknown) return {};
  return arithmetic(node.op, left, right, program.scratch);
}

Term own_alarm(Op op, const Sample& sample) {
  if (!sample.alarm) return {};
  return op == Op::alarm_name ? term_of(std::string_view(sample.alarm->name)) : term_of(sample.alarm->raised);
}

}  // namespace

Term run(const Program& program, const ExprNode& node, const Sample& sample) {
  switch (node.op) {
    case Op::literal: return node.literal;
    case Op::field: return load_field(program, node, sample);
    case Op::array: return load_array(program, node, sample);
    case Op::device: return term_of(std::string_view(sample.device));
    case Op::quality: return term_of(to_text(sample.quality));
    case Op::time: return term_of(static_cast<double>(sample.event_time) / 1e6, find_unit("s"));
    case Op::tag: return load_tag(program, node, sample);
    case Op::alarm_name:
    case Op::alarm_raised: return own_alarm(node.op, sample);
    case Op::index: return element(program, node, sample);
    case Op::list: return make_list(program, node, sample);
    case Op::negate: {
      Term value = run(program, program.kid(node, 0), sample);
      if (value.is_null()) return {};
      return arithmetic(Op::multiply, value, term_of(-1.0), program.scratch);
    }
    case Op::logic_not:
    case Op::logic_and:
    case Op::logic_or: return logic(program, node, sample);
    case Op::choose: {
      Term condition = run(program, program.kid(node, 0), sample);
      if (program.scratch.certain && !certain_truth(condition)) return {};
      return run(program, program.kid(node, condition.truth() ? 1 : 2), sample);
    }
    case Op::call: return run_call(program, node, sample);
    default: return two_sided(program, node, sample);
  }
}

}  // namespace penstock::ingest::detail
