#include <charconv>
#include <cmath>
#include <numeric>

#include "ingest/expr_program.h"

namespace penstock::ingest::detail {
namespace {

using Kind = Term::Kind;

constexpr std::size_t kArgumentsMax = 16;

// A finite number, or null.
Term finite(double value, const Unit* unit = nullptr, std::string_view unit_name = {}) {
  if (!std::isfinite(value)) return {};
  Term term = term_of(value, unit);
  term.unit_name = unit_name;
  return term;
}

Term like(double value, const Term& model) { return finite(value, model.unit, model.unit_name); }

double sum_of(std::span<const double> values) { return std::accumulate(values.begin(), values.end(), 0.0); }

double stddev_of(std::span<const double> values) {
  double mean = sum_of(values) / static_cast<double>(values.size());
  double squares = 0;
  for (double value : values) squares += (value - mean) * (value - mean);
  return std::sqrt(squares / static_cast<double>(values.size()));
}

// Functions over the elements of one array. A single number is an array of one.
Term over_array(Function function, const Term& term) {
  std::span<const double> values = term.array;
  if (term.kind == Kind::number) values = std::span(&term.number, 1);
  if (term.kind != Kind::array && term.kind != Kind::number) return {};
  if (function == Function::sum) return like(sum_of(values), term);
  if (values.empty()) return {};
  switch (function) {
    case Function::mean: return like(sum_of(values) / static_cast<double>(values.size()), term);
    case Function::stddev: return like(stddev_of(values), term);
    case Function::first: return like(values.front(), term);
    case Function::last: return like(values.back(), term);
    case Function::min_: return like(*std::min_element(values.begin(), values.end()), term);
    default: return like(*std::max_element(values.begin(), values.end()), term);
  }
}

// min, max of several numbers; null when one is null, as in arithmetic.
Term extreme(Function function, std::span<const Term> terms) {
  if (terms.size() == 1) return over_array(function, terms[0]);
  std::optional<double> best;
  for (const Term& term : terms) {
    auto number = in_unit_of(term, terms[0].unit);
    if (!number) return {};
    bool better = !best || (function == Function::min_ ? *number < *best : *number > *best);
    if (better) best = number;
  }
  return like(*best, terms[0]);
}

Term clamp(std::span<const Term> terms) {
  auto value = in_unit_of(terms[0], terms[0].unit);
  auto low = in_unit_of(terms[1], terms[0].unit);
  auto high = in_unit_of(terms[2], terms[0].unit);
  if (!value || !low || !high || *low > *high) return {};
  return like(std::clamp(*value, *low, *high), terms[0]);
}

Term round_to(std::span<const Term> terms) {
  if (terms[0].kind != Kind::number) return {};
  double digits = terms.size() > 1 && terms[1].kind == Kind::number ? std::clamp(terms[1].number, -15.0, 15.0) : 0;
  double scale = std::pow(10.0, std::trunc(digits));
  return like(std::round(terms[0].number * scale) / scale, terms[0]);
}

Term one_number(Function function, const Term& term) {
  if (term.kind != Kind::number) return {};
  double x = term.number;
  switch (function) {
    case Function::abs_: return like(std::abs(x), term);
    case Function::floor_: return like(std::floor(x), term);
    case Function::ceil_: return like(std::ceil(x), term);
    case Function::sqrt_: return finite(std::sqrt(x));
    case Function::exp_: return finite(std::exp(x));
    case Function::log_: return finite(std::log(x));
    case Function::log10_: return finite(std::log10(x));
    default: return finite(x > 0 ? 1 : x < 0 ? -1 : 0);
  }
}

Term with_text(Function function, std::span<const Term> terms, Scratch& scratch) {
  if (terms[0].kind != Kind::text) return {};
  std::string_view text = terms[0].text;
  if (function == Function::lower || function == Function::upper) {
    if (text.size() > kExprTextMax) return {};
    std::string& out = scratch.texts.emplace_back(text);
    bool up = function == Function::upper;
    for (char& c : out) {
      if (up && c >= 'a' && c <= 'z') c = static_cast<char>(c - 32);
      if (!up && c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
    }
    return term_of(std::string_view(out));
  }
  if (terms[1].kind != Kind::text) return {};
  std::string_view part = terms[1].text;
  if (function == Function::contains) return term_of(text.find(part) != std::string_view::npos);
  return term_of(function == Function::starts_with ? text.starts_with(part) : text.ends_with(part));
}

Term length(const Term& term) {
  if (term.kind == Kind::text) return term_of(static_cast<double>(term.text.size()));
  if (term.kind == Kind::array) return term_of(static_cast<double>(term.array.size()));
  return {};
}

Term parse_number(const Term& term) {
  if (term.kind == Kind::number) return term;
  if (term.kind == Kind::boolean) return term_of(term.boolean ? 1.0 : 0.0);
  if (term.kind != Kind::text) return {};
  double number = 0;
  auto [end, ec] = std::from_chars(term.text.data(), term.text.data() + term.text.size(), number);
  bool whole = ec == std::errc{} && end == term.text.data() + term.text.size();
  return whole ? finite(number) : Term();
}

Term convert_to(const Term& value, const Unit* unit, Scratch& scratch) {
  if (value.kind == Kind::number) {
    auto number = in_unit_of(value, unit);
    return number ? finite(*number, unit, unit->name) : Term();
  }
  if (value.kind != Kind::array || (value.unit == nullptr && !value.unit_name.empty())) return {};
  if (value.unit != nullptr && value.unit->dimension != unit->dimension) return {};
  Term result = value;
  result.unit = unit;
  result.unit_name = unit->name;
  if (value.unit == nullptr || value.array.size() > kExprArrayMax) return value.unit == nullptr ? result : Term();
  std::vector<double>& values = scratch.arrays.emplace_back(value.array.begin(), value.array.end());
  for (double& number : values) number = convert(number, *value.unit, *unit);
  result.array = values;
  return result;
}

}  // namespace

Term run_call(const Program& program, const ExprNode& node, const Sample& sample) {
  std::array<Term, kArgumentsMax> storage;
  for (std::size_t i = 0; i < node.count; ++i) storage[i] = run(program, program.kid(node, i), sample);
  std::span<const Term> terms(storage.data(), node.count);
  switch (node.function) {
    case Function::abs_:
    case Function::floor_:
    case Function::ceil_:
    case Function::sqrt_:
    case Function::exp_:
    case Function::log_:
    case Function::log10_:
    case Function::sign: return one_number(node.function, terms[0]);
    case Function::round_: return round_to(terms);
    case Function::clamp: return clamp(terms);
    case Function::min_:
    case Function::max_: return extreme(node.function, terms);
    case Function::pow_:
      if (terms[0].kind != Kind::number || terms[1].kind != Kind::number) return {};
      return finite(std::pow(terms[0].number, terms[1].number));
    case Function::sum:
    case Function::mean:
    case Function::stddev:
    case Function::first:
    case Function::last: return over_array(node.function, terms[0]);
    case Function::len: return length(terms[0]);
    case Function::has:
    case Function::is_null: return term_of(terms[0].is_null() == (node.function == Function::is_null));
    case Function::coalesce:
      for (const Term& term : terms) {
        if (!term.is_null()) return term;
      }
      return {};
    case Function::number: return parse_number(terms[0]);
    case Function::text: {
      if (terms[0].is_null()) return {};
      std::string& out = program.scratch.texts.emplace_back(to_text(terms[0]));
      return term_of(std::string_view(out));
    }
    case Function::to: return convert_to(terms[0], node.unit, program.scratch);
    default: return with_text(node.function, terms, program.scratch);
  }
}

}  // namespace penstock::ingest::detail
