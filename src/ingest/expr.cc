#include "ingest/expr.h"

#include <cmath>

#include "base/quantity.h"
#include "ingest/expr_check.h"
#include "ingest/expr_lexer.h"
#include "ingest/expr_parser.h"

namespace penstock::ingest {

using detail::Op;
using detail::Program;

Term term_of(bool value) {
  Term term;
  term.kind = Term::Kind::boolean;
  term.boolean = value;
  return term;
}

Term term_of(double value, const Unit* unit) {
  Term term;
  term.kind = Term::Kind::number;
  term.number = value;
  term.unit = unit;
  if (unit != nullptr) term.unit_name = unit->name;
  return term;
}

Term term_of(std::string_view value) {
  Term term;
  term.kind = Term::Kind::text;
  term.text = value;
  return term;
}

Term term_of(std::span<const double> value) {
  Term term;
  term.kind = Term::Kind::array;
  term.array = value;
  return term;
}

std::optional<Value> to_value(const Term& term) {
  switch (term.kind) {
    case Term::Kind::null: return std::nullopt;
    case Term::Kind::boolean: return Value(term.boolean);
    case Term::Kind::number: return Value(term.number);
    case Term::Kind::text: return Value(std::string(term.text));
    case Term::Kind::array: return Value(std::vector<double>(term.array.begin(), term.array.end()));
  }
  return std::nullopt;
}

std::string to_text(const Term& term) {
  switch (term.kind) {
    case Term::Kind::null: return "null";
    case Term::Kind::boolean: return term.boolean ? "true" : "false";
    case Term::Kind::number: return fmt::format("{:.6g}{}", term.number, term.unit_name);
    case Term::Kind::text: return std::string(term.text.substr(0, kExprTextMax));
    case Term::Kind::array: return fmt::format("[{} numbers]", term.array.size());
  }
  return {};
}

std::string to_text(const Term& term, std::size_t bytes) {
  std::string text = to_text(term);
  if (text.size() <= bytes) return text;
  while (bytes > 0 && (static_cast<unsigned char>(text[bytes]) & 0xc0) == 0x80) --bytes;
  text.resize(bytes);
  return text;
}

namespace {

// It is kept with every alarm, in its history and in each notice of it, and texts are as long as their sender likes.
constexpr std::size_t kExplainedValueMax = 200;
constexpr std::size_t kExplainedMax = 2000;

Result<void> check_wanted(const Program& program, Expression::Wants wants) {
  const detail::ExprNode& root = program.nodes[program.root];
  // Arithmetic on fields gives a number or an array, in no case a condition.
  Term::Kind type = root.type == Term::Kind::null && detail::is_arithmetic(root.op) ? Term::Kind::number : root.type;
  if (type == Term::Kind::null && root.op != Op::literal) return {};
  bool fits = true;
  switch (wants) {
    case Expression::Wants::any: break;
    case Expression::Wants::condition: fits = type == Term::Kind::boolean; break;
    case Expression::Wants::number: fits = type == Term::Kind::number || type == Term::Kind::boolean; break;
    case Expression::Wants::array: fits = type == Term::Kind::array || type == Term::Kind::number; break;
  }
  if (fits) return {};
  return detail::at_column(
      root.column, fmt::format("this gives {}; expected is {}", detail::describe(type), detail::expected(wants)));
}

}  // namespace

Expression::Expression(std::unique_ptr<Program> program) : program_(std::move(program)) {}
Expression::Expression(Expression&&) noexcept = default;
Expression& Expression::operator=(Expression&&) noexcept = default;
Expression::~Expression() = default;

Result<Expression> Expression::compile(std::string_view text, Wants wants) {
  auto program = std::make_unique<Program>();
  auto parsed = detail::parse_expression(text, false, *program);
  if (!parsed) return std::unexpected(parsed.error());
  if (auto fits = check_wanted(*program, wants); !fits) return std::unexpected(fits.error());
  program->wants = wants;
  return Expression(std::move(program));
}

namespace {

template <class T>
std::optional<T> reported(const config::Node& node, const std::string& text, Result<T> compiled) {
  if (compiled) return std::move(*compiled);
  node.problem(fmt::format("in the expression \"{}\", {}", text, compiled.error().detail));
  return std::nullopt;
}

}  // namespace

std::optional<Expression> Expression::compile(const config::Node& node, Wants wants) {
  if (node.kind() != config::Node::Kind::scalar) {
    node.problem("expected an expression, such as \"temp > 80degC\"");
    return std::nullopt;
  }
  std::string text = node.text();
  return reported(node, text, compile(text, wants));
}

Term Expression::evaluate(const Sample& sample) const {
  if (!program_->scratch.arrays.empty()) program_->scratch.arrays.clear();
  if (!program_->scratch.texts.empty()) program_->scratch.texts.clear();
  return run(*program_, program_->nodes[program_->root], sample);
}

std::optional<bool> Expression::certain(const Sample& sample) const {
  program_->scratch.certain = true;
  auto result = detail::certain_truth(evaluate(sample));
  program_->scratch.certain = false;
  return result;
}

const std::string& Expression::text() const { return program_->source; }
const std::vector<std::string>& Expression::names() const { return program_->mentioned; }

bool Expression::concerns(const Sample& sample) const {
  bool names_fields = false;
  for (const detail::ExprNode& node : program_->nodes) {
    if (node.op != Op::field && node.op != Op::array) continue;
    names_fields = true;
    if (sample.find(program_->names[node.name]) != nullptr) return true;
    if (sample.find(program_->array_names[node.name]) != nullptr) return true;
  }
  return !names_fields;
}

std::string Expression::explain(const Sample& sample) const {
  std::string out;
  std::vector<std::string_view> told;
  for (const detail::ExprNode& node : program_->nodes) {
    if (node.op < Op::field || node.op > Op::alarm_raised) continue;
    std::string_view name = node.op == Op::field    ? std::string_view(program_->names[node.name])
                            : node.op == Op::array  ? std::string_view(program_->array_names[node.name])
                            : node.op == Op::tag    ? std::string_view(program_->names[node.name])
                            : node.op == Op::device ? "device"
                                                    : "";
    if (name.empty() || std::find(told.begin(), told.end(), name) != told.end()) continue;
    told.push_back(name);
    if (!out.empty()) out += ", ";
    if (out.size() > kExplainedMax) return out + "...";
    const Term value = run(*program_, node, sample);
    out += fmt::format("{} = {}{}", name, to_text(value, kExplainedValueMax),
                       value.text.size() > kExplainedValueMax ? "..." : "");
  }
  return out;
}

Sample Expression::grounds(const Sample& sample) const {
  const auto read = [this](const std::string& name, bool tag) {
    return std::any_of(program_->nodes.begin(), program_->nodes.end(), [&](const detail::ExprNode& node) {
      if (tag) return node.op == Op::tag && program_->names[node.name] == name;
      return (node.op == Op::field || node.op == Op::array) &&
             (program_->names[node.name] == name || program_->array_names[node.name] == name);
    });
  };
  Sample part;
  part.device = sample.device;
  for (const Field& field : sample.fields) {
    if (read(field.name, false)) part.fields.push_back(field);
  }
  for (const auto& tag : sample.tags) {
    if (read(tag.first, true)) part.tags.push_back(tag);
  }
  return part;
}

Result<Condition> Condition::compile(std::string_view text) {
  auto program = std::make_unique<Program>();
  auto parsed = detail::parse_expression(text, true, *program);
  if (!parsed) return std::unexpected(parsed.error());
  if (auto fits = check_wanted(*program, Expression::Wants::condition); !fits) return std::unexpected(fits.error());
  program->wants = Expression::Wants::condition;
  return Condition{Expression(std::move(program)), parsed->hold};
}

std::optional<Condition> Condition::compile(const config::Node& node) {
  if (node.kind() != config::Node::Kind::scalar) {
    node.problem("expected a condition, such as \"temp > 80degC for 3s\"");
    return std::nullopt;
  }
  std::string text = node.text();
  return reported(node, text, compile(text));
}

std::string Condition::text() const { return when.text(); }

}  // namespace penstock::ingest
