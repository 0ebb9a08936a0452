#include "infer/proto_text.h"

#include "json/value.h"

namespace penstock::infer {
namespace {

using Kind = ProtoField::Kind;

bool is_name(char byte) {
  return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') || (byte >= '0' && byte <= '9') || byte == '_';
}
bool is_digit(char byte) { return byte >= '0' && byte <= '9'; }

int hex_value(char byte) {
  if (is_digit(byte)) return byte - '0';
  char lower = static_cast<char>(byte | 0x20);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

void append_utf8(std::string& out, std::uint32_t code) {
  auto put = [&out](std::uint32_t byte) { out += static_cast<char>(byte); };
  if (code < 0x80) {
    put(code);
  } else if (code < 0x800) {
    put(0xC0 | (code >> 6));
    put(0x80 | (code & 0x3F));
  } else if (code < 0x10000) {
    put(0xE0 | (code >> 12));
    put(0x80 | ((code >> 6) & 0x3F));
    put(0x80 | (code & 0x3F));
  } else {
    put(0xF0 | (code >> 18));
    put(0x80 | ((code >> 12) & 0x3F));
    put(0x80 | ((code >> 6) & 0x3F));
    put(0x80 | (code & 0x3F));
  }
}

// The first mistake ends the reading; every function returns false after it.
class Reader {
 public:
  Reader(std::string_view text, const std::string& file) : text_(text), file_(file) {}

  bool fields(std::vector<ProtoField>& out, char close, int depth);
  Error error() const { return {Errc::invalid_argument, error_}; }

 private:
  char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  void step();
  void blanks();
  bool take(char byte);
  bool fail_here(std::string_view what);
  bool field_name(ProtoField& field);
  bool value(ProtoField& field, int depth);
  bool list(const ProtoField& like, std::vector<ProtoField>& out, int depth);
  bool message(ProtoField& field, int depth);
  bool scalar(ProtoField& field);
  bool strings(std::string& out);
  bool escape(std::string& out);
  bool code_point(std::string& out, int digits);
  bool number_or_word(ProtoField& field);

  std::string_view text_;
  const std::string& file_;
  std::size_t at_ = 0;
  config::Mark mark_;
  std::string error_;
};

void Reader::step() {
  if (text_[at_++] == '\n') {
    ++mark_.line;
    mark_.column = 1;
  } else {
    ++mark_.column;
  }
}

void Reader::blanks() {
  while (at_ < text_.size()) {
    char byte = text_[at_];
    if (byte == '#') {
      while (at_ < text_.size() && text_[at_] != '\n') step();
    } else if (byte == ' ' || (byte >= '\t' && byte <= '\r')) {
      step();
    } else {
      return;
    }
  }
}

bool Reader::take(char byte) {
  blanks();
  if (at_ >= text_.size() || text_[at_] != byte) return false;
  step();
  return true;
}

bool Reader::fail_here(std::string_view what) {
  if (error_.empty()) error_ = fmt::format("{}:{}:{}: {}", file_, mark_.line, mark_.column, what);
  return false;
}

bool Reader::fields(std::vector<ProtoField>& out, char close, int depth) {
  if (depth > kProtoDepthMax) return fail_here("messages are nested too deeply");
  while (true) {
    blanks();
    if (at_ >= text_.size()) return close == '\0' || fail_here(fmt::format("the message ends without '{}'", close));
    if (close != '\0' && take(close)) return true;
    ProtoField field;
    if (!field_name(field)) return false;
    bool colon = take(':');
    blanks();
    if (peek() == '[') {
      if (!list(field, out, depth)) return false;
    } else {
      if (!colon && peek() != '{' && peek() != '<')
        return fail_here(fmt::format("expected ':' after '{}'", field.name));
      if (!value(field, depth)) return false;
      out.push_back(std::move(field));
    }
    if (!take(',')) take(';');
  }
}

bool Reader::field_name(ProtoField& field) {
  field.at = mark_;
  if (peek() == '[') {
    while (at_ < text_.size() && peek() != ']' && peek() != '\n') {
      field.name += peek();
      step();
    }
    if (peek() != ']') return fail_here("expected ']'");
    field.name += ']';
    step();
    return true;
  }
  while (is_name(peek())) {
    field.name += peek();
    step();
  }
  if (field.name.empty() || is_digit(field.name.front())) return fail_here("expected the name of a field");
  return true;
}

bool Reader::list(const ProtoField& like, std::vector<ProtoField>& out, int depth) {
  step();  // the bracket
  if (take(']')) return true;
  while (true) {
    blanks();
    ProtoField element;
    element.name = like.name;
    element.at = mark_;
    if (!value(element, depth)) return false;
    out.push_back(std::move(element));
    if (take(']')) return true;
    if (!take(',')) return fail_here("expected ',' or ']'");
  }
}

bool Reader::value(ProtoField& field, int depth) {
  blanks();
  if (peek() == '{' || peek() == '<') return message(field, depth);
  return scalar(field);
}

bool Reader::message(ProtoField& field, int depth) {
  char close = peek() == '{' ? '}' : '>';
  step();
  field.kind = Kind::message;
  return fields(field.fields, close, depth + 1);
}

bool Reader::scalar(ProtoField& field) {
  if (peek() == '"' || peek() == '\'') {
    field.kind = Kind::string;
    return strings(field.text);
  }
  if (take('-')) {
    field.text = "-";
    blanks();
  }
  return number_or_word(field);
}

bool Reader::number_or_word(ProtoField& field) {
  bool number = is_digit(peek()) || peek() == '.';
  std::size_t from = field.text.size();
  while (is_name(peek()) || (number && peek() == '.') ||
         (number && (peek() == '+' || peek() == '-') && (field.text.back() | 0x20) == 'e' &&
          !std::string_view(field.text).substr(from).starts_with("0x"))) {
    field.text += peek();
    step();
  }
  std::string_view word = std::string_view(field.text).substr(from);
  if (word.empty()) return fail_here("expected a value");
  field.kind = number || from > 0 ? Kind::number : Kind::word;
  if (from > 0 && !number && word != "inf" && word != "infinity" && word != "nan")
    return fail_here(fmt::format("'-{}' is no number", word));
  return true;
}

bool Reader::strings(std::string& out) {
  while (peek() == '"' || peek() == '\'') {
    char quote = peek();
    step();
    while (peek() != quote || at_ >= text_.size()) {
      if (at_ >= text_.size() || peek() == '\n') return fail_here("the string does not end on its line");
      if (peek() == '\\') {
        if (!escape(out)) return false;
      } else {
        out += peek();
        step();
      }
    }
    step();
    blanks();
  }
  return true;
}

bool Reader::escape(std::string& out) {
  step();  // the backslash
  if (at_ >= text_.size()) return fail_here("the string does not end");
  char byte = peek();
  step();
  constexpr std::string_view kLetters = "abfnrtv?\\'\"";
  constexpr std::string_view kBytes = "\a\b\f\n\r\t\v?\\'\"";
  if (auto place = kLetters.find(byte); place != std::string_view::npos) {
    out += kBytes[place];
    return true;
  }
  if (byte == 'u' || byte == 'U') return code_point(out, byte == 'u' ? 4 : 8);
  int base = 8;
  int value = -1;
  int most = 2;
  if (byte == 'x' || byte == 'X') {
    base = 16;
  } else if (byte >= '0' && byte <= '7') {
    value = byte - '0';
  } else {
    return fail_here(fmt::format("unknown escape '\\{}'", byte));
  }
  for (; most > 0; --most) {
    int digit = hex_value(peek());
    if (digit < 0 || digit >= base) break;
    value = std::max(value, 0) * base + digit;
    step();
  }
  if (value < 0 || value > 255) return fail_here("the escape stands for no byte");
  out += static_cast<char>(value);
  return true;
}

bool Reader::code_point(std::string& out, int digits) {
  std::uint32_t code = 0;
  for (int i = 0; i < digits; ++i) {
    int digit = hex_value(peek());
    if (digit < 0) return fail_here(fmt::format("expected {} hexadecimal digits", digits));
    code = code * 16 + static_cast<std::uint32_t>(digit);
    step();
  }
  if (code > 0x10FFFF || (code >= 0xD800 && code < 0xE000)) return fail_here("the escape stands for no character");
  append_utf8(out, code);
  return true;
}

std::string snake_case(std::string_view name) {
  std::string out;
  for (char byte : name) {
    if (byte >= 'A' && byte <= 'Z') {
      out += '_';
      byte = static_cast<char>(byte | 0x20);
    }
    out += byte;
  }
  return out;
}

void add_json(std::vector<ProtoField>& out, std::string name, const json::Value& value,
              const std::vector<std::string_view>& map_fields);

void add_members(std::vector<ProtoField>& out, const json::Object& object,
                 const std::vector<std::string_view>& map_fields) {
  for (const auto& [name, value] : object) add_json(out, snake_case(name), value, map_fields);
}

void add_map(std::vector<ProtoField>& out, const std::string& name, const json::Object& object,
             const std::vector<std::string_view>& map_fields) {
  for (const auto& [key, value] : object) {
    ProtoField entry{.name = name, .at = {}, .kind = Kind::message, .text = {}, .fields = {}};
    entry.fields.push_back({.name = "key", .at = {}, .kind = Kind::string, .text = std::string(key), .fields = {}});
    add_json(entry.fields, "value", value, map_fields);
    out.push_back(std::move(entry));
  }
}

void add_json(std::vector<ProtoField>& out, std::string name, const json::Value& value,
              const std::vector<std::string_view>& map_fields) {
  if (value.is_null()) return;
  if (value.is_array()) {
    for (const json::Value& element : value.get_array()) add_json(out, name, element, map_fields);
    return;
  }
  bool map = std::find(map_fields.begin(), map_fields.end(), name) != map_fields.end();
  if (map && value.is_object()) return add_map(out, name, value.get_object(), map_fields);
  ProtoField field{.name = std::move(name), .at = {}, .kind = Kind::word, .text = {}, .fields = {}};
  if (value.is_object()) {
    field.kind = Kind::message;
    add_members(field.fields, value.get_object(), map_fields);
  } else if (value.is_string()) {
    field.kind = Kind::string;
    field.text = std::string(value.get_string());
  } else {
    field.kind = value.is_bool() ? Kind::word : Kind::number;
    field.text = json::dump(value);
  }
  out.push_back(std::move(field));
}

}  // namespace

Result<std::vector<ProtoField>> parse_proto_text(std::string_view text, const std::string& file) {
  Reader reader(text, file);
  std::vector<ProtoField> fields;
  if (!reader.fields(fields, '\0', 0)) return std::unexpected(reader.error());
  return fields;
}

Result<std::vector<ProtoField>> parse_proto_json(std::string_view text, const std::string& file,
                                                 const std::vector<std::string_view>& map_fields) {
  auto value = json::parse(text);
  if (!value) return fail(Errc::invalid_argument, fmt::format("{}: {}", file, value.error().detail));
  if (!value->is_object()) return fail(Errc::invalid_argument, fmt::format("{}: expected a JSON object", file));
  std::vector<ProtoField> fields;
  add_members(fields, value->get_object(), map_fields);
  return fields;
}

}  // namespace penstock::infer
