// Splits an expression into tokens. Private to the module.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "ingest/unit.h"

namespace penstock::ingest::detail {

struct Token {
  enum class Kind { end, number, text, name, symbol };
  Kind kind = Kind::end;
  int column = 1;             // 1-based, in bytes
  std::string_view spelling;  // as written
  std::string text;           // of a text literal or a name
  double number = 0;
  const Unit* unit = nullptr;
  bool quoted = false;  // a name in backticks: never a keyword

  bool is(std::string_view what) const {
    return (kind == Kind::symbol || (kind == Kind::name && !quoted)) && spelling == what;
  }
};

// "column 7: what; hint"
std::unexpected<Error> at_column(int column, std::string message);

class Lexer {
 public:
  explicit Lexer(std::string_view source) : source_(source) {}
  Result<Token> next();
  // The rest of the source from the beginning of `token`.
  std::string_view rest_from(const Token& token) const {
    return source_.substr(static_cast<std::size_t>(token.column) - 1);
  }

 private:
  Result<Token> number(Token token);
  Result<Token> quoted(Token token, char quote);
  Result<Token> name(Token token);
  Result<Token> symbol(Token token);
  std::string_view take(std::size_t length);

  std::string_view source_;
  std::size_t at_ = 0;
};

}  // namespace penstock::ingest::detail
