#include "ingest/expr_lexer.h"

#include <charconv>

#include "base/quantity.h"

namespace penstock::ingest::detail {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool is_unit_char(char c) { return is_letter(c) || is_digit(c) || static_cast<unsigned char>(c) >= 0x80; }

// The unit written directly behind a number: the longest text that may be one, "m/s2" before "m".
std::string_view unit_text(std::string_view rest) {
  if (rest.starts_with('%')) return rest.substr(0, 1);
  std::size_t word = 0;
  while (word < rest.size() && is_unit_char(rest[word])) ++word;
  if (word > 0 && word < rest.size() && rest[word] == '/') {
    std::size_t end = word + 1;
    while (end < rest.size() && is_unit_char(rest[end])) ++end;
    if (find_unit(rest.substr(0, end)) != nullptr) return rest.substr(0, end);
  }
  return rest.substr(0, word);
}

constexpr std::array<std::pair<std::string_view, std::string_view>, 6> kForeign{{{"&&", "write 'and'"},
                                                                                 {"||", "write 'or'"},
                                                                                 {"=", "to compare, write '=='"},
                                                                                 {"!", "write 'not'"},
                                                                                 {"&", "write 'and'"},
                                                                                 {"|", "write 'or'"}}};
constexpr std::array<std::string_view, 19> kSymbols{"==", "!=", "<=", ">=", "[]", "<", ">", "+", "-", "*",
                                                    "/",  "%",  "(",  ")",  "[",  "]", ",", "?", ":"};

}  // namespace

std::unexpected<Error> at_column(int column, std::string message) {
  return fail(Errc::invalid_argument, fmt::format("column {}: {}", column, message));
}

std::string_view Lexer::take(std::size_t length) {
  std::string_view taken = source_.substr(at_, length);
  at_ += taken.size();
  return taken;
}

Result<Token> Lexer::next() {
  while (at_ < source_.size() && (source_[at_] == ' ' || source_[at_] == '\t' || source_[at_] == '\n')) ++at_;
  Token token;
  token.column = static_cast<int>(at_) + 1;
  if (at_ >= source_.size()) return token;
  char c = source_[at_];
  bool decimal = c == '.' && at_ + 1 < source_.size() && is_digit(source_[at_ + 1]);
  if (is_digit(c) || decimal) return number(std::move(token));
  if (c == '"' || c == '\'' || c == '`') return quoted(std::move(token), c);
  if (is_letter(c)) return name(std::move(token));
  return symbol(std::move(token));
}

Result<Token> Lexer::number(Token token) {
  token.kind = Token::Kind::number;
  std::string_view rest = source_.substr(at_);
  auto [end, ec] = std::from_chars(rest.data(), rest.data() + rest.size(), token.number);
  if (ec != std::errc{}) return at_column(token.column, "this number is too large or too small");
  auto digits = static_cast<std::size_t>(end - rest.data());
  std::string_view unit = unit_text(rest.substr(digits));
  token.spelling = take(digits + unit.size());
  if (unit.empty()) return token;
  token.unit = find_unit(unit);
  if (token.unit == nullptr) {
    auto hint = base::closest(unit, unit_names());
    return at_column(token.column + static_cast<int>(digits),
                     hint ? fmt::format("unknown unit '{}'; did you mean '{}'?", unit, *hint)
                          : fmt::format("unknown unit '{}'; docs/expressions.md lists the units", unit));
  }
  return token;
}

Result<Token> Lexer::quoted(Token token, char quote) {
  token.kind = quote == '`' ? Token::Kind::name : Token::Kind::text;
  token.quoted = true;
  std::size_t i = at_ + 1;
  for (; i < source_.size() && source_[i] != quote; ++i) {
    bool escape = source_[i] == '\\' && i + 1 < source_.size() && (source_[i + 1] == quote || source_[i + 1] == '\\');
    if (escape) ++i;
    token.text += source_[i];
  }
  if (i >= source_.size()) return at_column(token.column, fmt::format("the closing {} is missing", quote));
  token.spelling = take(i + 1 - at_);
  return token;
}

Result<Token> Lexer::name(Token token) {
  token.kind = Token::Kind::name;
  std::size_t i = at_;
  while (i < source_.size()) {
    bool dot = source_[i] == '.' && i + 1 < source_.size() && (is_letter(source_[i + 1]) || is_digit(source_[i + 1]));
    if (!is_letter(source_[i]) && !is_digit(source_[i]) && !dot) break;
    ++i;
  }
  token.spelling = take(i - at_);
  token.text = token.spelling;
  return token;
}

Result<Token> Lexer::symbol(Token token) {
  token.kind = Token::Kind::symbol;
  std::string_view rest = source_.substr(at_);
  for (std::string_view known : kSymbols) {
    if (!rest.starts_with(known)) continue;
    token.spelling = take(known.size());
    return token;
  }
  for (const auto& [foreign, hint] : kForeign) {
    if (rest.starts_with(foreign))
      return at_column(token.column, fmt::format("'{}' is no operator here; {}", foreign, hint));
  }
  return at_column(token.column,
                   "unexpected character; names with other characters than letters, digits, _ and . go "
                   "into backticks: `flow-rate`");
}

}  // namespace penstock::ingest::detail
