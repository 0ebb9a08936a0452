#include "json/peek.h"

#include "json/scan.h"

namespace penstock::json {
namespace {

using Kind = Field::Kind;

void set_string(Field& field, const Scanner::String& string) {
  field.kind = Kind::string;
  if (!string.escaped) return field.string.refer_to(string.raw);
  std::string own;
  unescape(string.raw, own);  // the scanner has checked it
  field.string.own(std::move(own));
}

void set_number(Field& field, const Number& number, const char* at) {
  if (number.whole && std::from_chars(at, number.end, field.integer).ec == std::errc{}) {
    field.kind = Kind::integer;
    return;
  }
  field.kind = Kind::number;
  to_double(number, at, field.number);
}

// Equal but for the case of ASCII letters.
bool same_letters(std::string_view a, std::string_view b) {
  auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
  return a.size() == b.size() &&
         std::equal(a.begin(), a.end(), b.begin(), [&](char x, char y) { return lower(x) == lower(y); });
}

class Peek {
 public:
  Peek(std::string_view text, std::span<const std::string_view> names, std::span<Field> fields)
      : text_(text), names_(names), fields_(fields), in_(text) {
    for (std::string_view name : names) sizes_ |= size_bit(name);
  }

  Result<Outline> run() {
    // RFC 8259 section 8.1 lets a parser refuse a byte order mark.
    if (text_.starts_with("\xEF\xBB\xBF"))
      return fail(Errc::invalid_argument, "malformed JSON: it starts with a byte order mark");
    Outline outline;
    outline.object_begin = in_.offset();
    if (in_.next() != '{') {
      if (!in_.skip() || !in_.finish()) return in_.error();
      return fail(Errc::invalid_argument, "the request body must be a JSON object");
    }
    outline.empty = true;
    bool read = in_.members([&](const Scanner::String& key) {
      outline.empty = false;
      return take_member(key);
    });
    if (repeated_ != nullptr) {
      return fail(Errc::invalid_argument, fmt::format("the field '{}' appears twice in the request body", *repeated_));
    }
    if (misspelt_ != nullptr) {
      return fail(Errc::invalid_argument,
                  fmt::format("the field '{}' must be written in these letters: some servers take others for the same",
                              *misspelt_));
    }
    if (!read || !in_.finish()) return in_.error();
    return outline;
  }

 private:
  bool take_member(const Scanner::String& key) {
    if (key.escaped) [[unlikely]] {
      std::string own;
      unescape(key.raw, own);
      return take_value(own);
    }
    return take_value(key.raw);
  }

  bool take_value(std::string_view key) {
    if ((sizes_ & size_bit(key)) == 0) return in_.skip();
    for (std::size_t i = 0; i < names_.size(); ++i) {
      if (names_[i] != key) {
        if (!same_letters(names_[i], key)) continue;
        misspelt_ = &names_[i];
        return false;
      }
      if (fields_[i].kind != Kind::absent) {
        repeated_ = &names_[i];
        return false;
      }
      return read_value(fields_[i]);
    }
    return in_.skip();
  }

  bool read_value(Field& field) {
    field.begin = in_.offset();
    bool read = read_kind(field);
    field.end = in_.offset();
    return read;
  }

  bool read_kind(Field& field) {
    Scanner::String string;
    Number number;
    switch (in_.next()) {
      case '"':
        if (!in_.string(string)) return false;
        set_string(field, string);
        return true;
      case '{': field.kind = Kind::object; return in_.skip();
      case '[':
        field.kind = Kind::array;
        return in_.elements([&] {
          ++field.elements;
          return in_.skip();
        });
      case 't':
      case 'f':
        field.kind = Kind::boolean;
        field.boolean = in_.next() == 't';
        return in_.skip();
      case 'n': field.kind = Kind::null; return in_.skip();
      default:
        if (!in_.number(number)) return false;
        set_number(field, number, text_.data() + field.begin);
        return true;
    }
  }

  std::string_view text_;
  std::span<const std::string_view> names_;
  std::span<Field> fields_;
  Scanner in_;
  std::uint64_t sizes_ = 0;  // of the names: most other keys have another
  const std::string_view* repeated_ = nullptr;
  const std::string_view* misspelt_ = nullptr;  // in another case: to some parsers, the last one of these counts
};

}  // namespace

Result<Outline> peek(std::string_view text, std::span<const std::string_view> names, std::span<Field> fields) {
  return Peek(text, names, fields).run();
}

Result<Peeked> peek(std::string_view text, std::span<const std::string_view> names) {
  Peeked peeked;
  peeked.fields.resize(names.size());
  auto outline = peek(text, names, peeked.fields);
  if (!outline) return std::unexpected(outline.error());
  static_cast<Outline&>(peeked) = *outline;
  return peeked;
}

}  // namespace penstock::json
