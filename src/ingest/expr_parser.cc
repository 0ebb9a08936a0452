#include "ingest/expr_parser.h"

#include "base/quantity.h"
#include "ingest/expr_check.h"
#include "ingest/expr_lexer.h"

namespace penstock::ingest::detail {
namespace {

struct Operator {
  std::string_view symbol;
  Op op;
  int precedence;
};
constexpr std::array kOperators = std::to_array<Operator>({
    {"or", Op::logic_or, 1},
    {"and", Op::logic_and, 2},
    {"==", Op::equal, 3},
    {"!=", Op::not_equal, 3},
    {"<", Op::less, 3},
    {"<=", Op::less_equal, 3},
    {">", Op::greater, 3},
    {">=", Op::greater_equal, 3},
    {"+", Op::add, 4},
    {"-", Op::subtract, 4},
    {"*", Op::multiply, 5},
    {"/", Op::divide, 5},
    {"%", Op::modulo, 5},
});
constexpr std::array<std::string_view, 7> kKeywords{"and", "or", "not", "true", "false", "null", "for"};

// Precedence climbing; every node is checked as it is made.
class Parser {
 public:
  Parser(std::string_view source, Program& program) : lexer_(source), program_(program) {}

  Result<Parsed> parse(bool allow_for);

 private:
  using Index = Result<std::uint16_t>;

  Result<void> advance();
  Result<void> expect(std::string_view symbol, std::string_view why);
  Index expression();
  Index binary(int least);
  Index prefix();
  Index postfix();
  Index primary();
  Index name();
  Index call(const Token& callee);
  Index list();
  Result<std::vector<std::uint16_t>> arguments(std::string_view close);

  Index add(ExprNode node, const std::vector<std::uint16_t>& kids = {});
  Index combine(Op op, int column, const std::vector<std::uint16_t>& kids);
  std::uint16_t intern(const std::string& name, std::string mention);
  std::string_view keep(std::string text) { return program_.texts.emplace_back(std::move(text)); }

  Lexer lexer_;
  Program& program_;
  Token token_;
  int depth_ = 0;
};

// Counts nesting for as long as it lives.
struct Deeper {
  explicit Deeper(int& depth) : depth_(depth) { ++depth_; }
  ~Deeper() { --depth_; }
  Deeper(const Deeper&) = delete;
  Deeper& operator=(const Deeper&) = delete;
  int& depth_;
};

Result<void> Parser::advance() {
  auto token = lexer_.next();
  if (!token) return std::unexpected(token.error());
  token_ = std::move(*token);
  return {};
}

Result<void> Parser::expect(std::string_view symbol, std::string_view why) {
  if (!token_.is(symbol)) {
    return at_column(token_.column, token_.kind == Token::Kind::end
                                        ? fmt::format("the expression ends where '{}' is missing; {}", symbol, why)
                                        : fmt::format("'{}' is missing before '{}'; {}", symbol, token_.spelling, why));
  }
  return advance();
}

std::uint16_t Parser::intern(const std::string& name, std::string mention) {
  if (std::find(program_.mentioned.begin(), program_.mentioned.end(), mention) == program_.mentioned.end()) {
    program_.mentioned.push_back(std::move(mention));
  }
  auto known = std::find(program_.names.begin(), program_.names.end(), name);
  if (known == program_.names.end()) {
    program_.names.push_back(name);
    program_.array_names.push_back(name + "[]");
    return static_cast<std::uint16_t>(program_.names.size() - 1);
  }
  return static_cast<std::uint16_t>(known - program_.names.begin());
}

Parser::Index Parser::add(ExprNode node, const std::vector<std::uint16_t>& kids) {
  if (program_.nodes.size() >= kExprNodesMax) {
    return at_column(node.column,
                     fmt::format("the expression has more than {} parts; split it over map steps", kExprNodesMax));
  }
  node.first = static_cast<std::uint16_t>(program_.kids.size());
  node.count = static_cast<std::uint16_t>(kids.size());
  program_.kids.insert(program_.kids.end(), kids.begin(), kids.end());
  if (auto checked = check_node(program_, node); !checked) return std::unexpected(checked.error());
  program_.nodes.push_back(std::move(node));
  return static_cast<std::uint16_t>(program_.nodes.size() - 1);
}

Parser::Index Parser::combine(Op op, int column, const std::vector<std::uint16_t>& kids) {
  ExprNode node;
  node.op = op;
  node.column = static_cast<std::uint16_t>(column);
  return add(std::move(node), kids);
}

Parser::Index Parser::expression() {
  Deeper deeper(depth_);
  if (depth_ > kExprDepthMax) {
    return at_column(token_.column, fmt::format("nested more than {} deep; split it over map steps", kExprDepthMax));
  }
  auto condition = binary(1);
  if (!condition || !token_.is("?")) return condition;
  int column = token_.column;
  if (auto moved = advance(); !moved) return std::unexpected(moved.error());
  auto yes = expression();
  if (!yes) return yes;
  if (auto colon = expect(":", "write condition ? value : other value"); !colon) return std::unexpected(colon.error());
  auto no = expression();
  if (!no) return no;
  return combine(Op::choose, column, {*condition, *yes, *no});
}

Parser::Index Parser::binary(int least) {
  auto left = prefix();
  bool compared = false;
  while (left) {
    const Operator* found = nullptr;
    for (const Operator& candidate : kOperators) {
      if (token_.is(candidate.symbol)) found = &candidate;
    }
    if (found == nullptr || found->precedence < least) return left;
    int column = token_.column;
    if (compared && is_comparison(found->op))
      return at_column(column, "comparisons do not chain; write a < b and b < c");
    compared = is_comparison(found->op);
    if (auto moved = advance(); !moved) return std::unexpected(moved.error());
    auto right = binary(found->precedence + 1);
    if (!right) return right;
    left = combine(found->op, column, {*left, *right});
  }
  return left;
}

Parser::Index Parser::prefix() {
  bool negative = token_.is("-");
  if (!negative && !token_.is("not")) return postfix();
  Deeper deeper(depth_);
  if (depth_ > kExprDepthMax) return at_column(token_.column, "too many prefix operators");
  int column = token_.column;
  if (auto moved = advance(); !moved) return std::unexpected(moved.error());
  // `not a == b` is not (a == b), as people read it.
  auto operand = negative ? prefix() : binary(3);
  if (!operand) return operand;
  return combine(negative ? Op::negate : Op::logic_not, column, {*operand});
}

Parser::Index Parser::postfix() {
  auto value = primary();
  while (value && token_.is("[")) {
    int column = token_.column;
    if (auto moved = advance(); !moved) return std::unexpected(moved.error());
    auto position = expression();
    if (!position) return position;
    if (auto close = expect("]", "an element is written y[0]"); !close) return std::unexpected(close.error());
    value = combine(Op::index, column, {*value, *position});
  }
  return value;
}

Parser::Index Parser::primary() {
  Token token = token_;
  ExprNode node;
  node.column = static_cast<std::uint16_t>(token.column);
  switch (token.kind) {
    case Token::Kind::end: return at_column(token.column, "the expression ends where a value is expected");
    case Token::Kind::number: node.literal = term_of(token.number, token.unit); break;
    case Token::Kind::text: node.literal = term_of(keep(token.text)); break;
    case Token::Kind::name: return name();
    case Token::Kind::symbol:
      if (token.is("[")) return list();
      if (!token.is("("))
        return at_column(token.column, fmt::format("a value is expected before '{}'", token.spelling));
      if (auto moved = advance(); !moved) return std::unexpected(moved.error());
      auto inner = expression();
      if (!inner) return inner;
      if (auto close = expect(")", "every ( needs its )"); !close) return std::unexpected(close.error());
      return inner;
  }
  if (auto moved = advance(); !moved) return std::unexpected(moved.error());
  return add(std::move(node));
}

// A keyword's value, a function call, one of the sample's own names, or a field.
Parser::Index Parser::name() {
  Token token = token_;
  if (auto moved = advance(); !moved) return std::unexpected(moved.error());
  ExprNode node;
  node.column = static_cast<std::uint16_t>(token.column);
  if (token.is("true") || token.is("false")) {
    node.literal = term_of(token.is("true"));
    return add(std::move(node));
  }
  if (token.is("null")) return add(std::move(node));
  bool keyword = std::any_of(kKeywords.begin(), kKeywords.end(), [&](auto word) { return token.is(word); });
  if (keyword) return at_column(token.column, fmt::format("a value is expected before '{}'", token.spelling));
  if (token_.is("(") && !token.quoted) return call(token);
  if (token_.is("[]")) {
    node.op = Op::array;
    node.name = intern(token.text, token.text + "[]");
    if (auto moved = advance(); !moved) return std::unexpected(moved.error());
    return add(std::move(node));
  }
  static constexpr std::array<std::pair<std::string_view, Op>, 5> kOwn{{{"device", Op::device},
                                                                        {"quality", Op::quality},
                                                                        {"time", Op::time},
                                                                        {"alarm.name", Op::alarm_name},
                                                                        {"alarm.raised", Op::alarm_raised}}};
  for (const auto& [own, op] : kOwn) {
    if (!token.is(own)) continue;
    node.op = op;
    intern(token.text, token.text);
    return add(std::move(node));
  }
  bool tag = !token.quoted && token.text.starts_with("tags.");
  node.op = tag ? Op::tag : Op::field;
  node.name = intern(tag ? token.text.substr(5) : token.text, token.text);
  return add(std::move(node));
}

Result<std::vector<std::uint16_t>> Parser::arguments(std::string_view close) {
  std::vector<std::uint16_t> kids;
  if (token_.is(close)) {
    if (auto moved = advance(); !moved) return std::unexpected(moved.error());
    return kids;
  }
  while (true) {
    auto argument = expression();
    if (!argument) return std::unexpected(argument.error());
    kids.push_back(*argument);
    if (!token_.is(",")) break;
    if (auto moved = advance(); !moved) return std::unexpected(moved.error());
  }
  if (auto end = expect(close, "separate values with commas"); !end) return std::unexpected(end.error());
  return kids;
}

Parser::Index Parser::call(const Token& callee) {
  const FunctionInfo* info = nullptr;
  std::vector<std::string> names;
  for (const FunctionInfo& candidate : functions()) {
    if (candidate.name == callee.text) info = &candidate;
    names.emplace_back(candidate.name);
  }
  if (info == nullptr) {
    auto hint = base::closest(callee.text, names);
    return at_column(callee.column,
                     hint ? fmt::format("unknown function '{}'; did you mean '{}'?", callee.text, *hint)
                          : fmt::format("unknown function '{}'; there are {}", callee.text, fmt::join(names, ", ")));
  }
  if (auto moved = advance(); !moved) return std::unexpected(moved.error());
  auto kids = arguments(")");
  if (!kids) return std::unexpected(kids.error());
  ExprNode node;
  node.op = Op::call;
  node.function = info->function;
  node.column = static_cast<std::uint16_t>(callee.column);
  return add(std::move(node), *kids);
}

Parser::Index Parser::list() {
  ExprNode node;
  node.op = Op::list;
  node.column = static_cast<std::uint16_t>(token_.column);
  if (auto moved = advance(); !moved) return std::unexpected(moved.error());
  auto kids = arguments("]");
  if (!kids) return std::unexpected(kids.error());
  return add(std::move(node), *kids);
}

Result<Parsed> Parser::parse(bool allow_for) {
  if (auto moved = advance(); !moved) return std::unexpected(moved.error());
  if (token_.kind == Token::Kind::end) return at_column(1, "the expression is empty");
  auto root = expression();
  if (!root) return std::unexpected(root.error());
  program_.root = *root;
  Parsed parsed;
  if (token_.is("for") && allow_for) {
    std::string_view rest = lexer_.rest_from(token_).substr(3);
    while (rest.starts_with(' ')) rest.remove_prefix(1);
    while (rest.ends_with(' ')) rest.remove_suffix(1);
    auto hold = base::parse_duration(rest);
    if (!hold) return at_column(token_.column, hold.error().detail);
    parsed.hold = *hold;
    return parsed;
  }
  if (token_.is("for")) return at_column(token_.column, "'for' belongs to alarm conditions only");
  if (token_.kind != Token::Kind::end) {
    return at_column(token_.column, fmt::format("an operator is expected before '{}'{}", token_.spelling,
                                                token_.kind == Token::Kind::name || token_.kind == Token::Kind::number
                                                    ? "; texts stand in quotes, units directly behind their number"
                                                    : ""));
  }
  return parsed;
}

}  // namespace

Result<Parsed> parse_expression(std::string_view source, bool allow_for, Program& program) {
  if (source.size() > kExprBytesMax) {
    return at_column(1, fmt::format("the expression is longer than {} bytes; split it over map steps", kExprBytesMax));
  }
  program.source = source;
  return Parser(source, program).parse(allow_for);
}

}  // namespace penstock::ingest::detail
