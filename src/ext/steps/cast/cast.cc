#include "ext/steps/cast/cast.h"

#include <charconv>
#include <cmath>

#include "ingest/field_access.h"

namespace penstock::ext::steps {
namespace {

using ingest::Field;
using ingest::FieldType;
using ingest::NamePattern;
using ingest::Value;

enum class To { number, integer, text, boolean };
enum class OnError { dead_letter, remove, keep };

struct Cast {
  NamePattern field;
  To to;
};

std::string_view trimmed(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(" \t\r\n");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t\r\n") - begin + 1);
}

std::optional<double> read_number(std::string_view text) {
  text = trimmed(text);
  if (text.starts_with('+')) text.remove_prefix(1);
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(number)) return std::nullopt;
  return number;
}

std::optional<Value> to_number(const Value& value) {
  if (const auto* text = std::get_if<std::string>(&value)) {
    const auto number = read_number(*text);
    return number ? std::optional<Value>(*number) : std::nullopt;
  }
  const double number = ingest::number_of(value);
  return std::isnan(number) ? std::nullopt : std::optional<Value>(number);
}

// Toward zero, as C++ and most PLCs cut.
std::optional<Value> to_integer(const Value& value) {
  if (const auto* text = std::get_if<std::string>(&value)) {
    const std::string_view digits = trimmed(*text);
    std::int64_t whole = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), whole);
    if (error == std::errc() && end == digits.data() + digits.size()) return Value(whole);
  } else if (std::holds_alternative<std::int64_t>(value)) {
    return value;
  }
  const auto number = to_number(value);
  if (!number) return std::nullopt;
  const double cut = std::trunc(std::get<double>(*number));
  // 2^63 is the first double beyond.
  if (!(cut >= -9223372036854775808.0 && cut < 9223372036854775808.0)) return std::nullopt;
  return Value(static_cast<std::int64_t>(cut));
}

std::optional<Value> to_boolean(const Value& value) {
  if (const auto* text = std::get_if<std::string>(&value)) {
    for (std::string_view yes : {"true", "on", "yes", "1"}) {
      if (trimmed(*text) == yes) return Value(true);
    }
    for (std::string_view no : {"false", "off", "no", "0"}) {
      if (trimmed(*text) == no) return Value(false);
    }
    return std::nullopt;
  }
  const double number = ingest::number_of(value);
  return std::isnan(number) ? std::nullopt : std::optional<Value>(number != 0);
}

std::optional<Value> to_words(const Value& value) {
  if (const auto* flag = std::get_if<bool>(&value)) return Value(std::string(*flag ? "true" : "false"));
  if (const auto* whole = std::get_if<std::int64_t>(&value)) return Value(fmt::format("{}", *whole));
  if (const auto* number = std::get_if<double>(&value)) return Value(fmt::format("{}", *number));
  if (std::holds_alternative<std::string>(value)) return value;
  return std::nullopt;
}

std::optional<Value> cast(const Value& value, To to) {
  switch (to) {
    case To::number: return to_number(value);
    case To::integer: return to_integer(value);
    case To::boolean: return to_boolean(value);
    case To::text: return to_words(value);
  }
  return std::nullopt;
}

class CastStep : public ingest::Step {
 public:
  CastStep(std::vector<Cast> casts, OnError on_error, ingest::StepContext context)
      : casts_(std::move(casts)), on_error_(on_error), context_(std::move(context)) {}

  void push(ingest::Sample sample, ingest::Output& out) override {
    for (auto field = sample.fields.begin(); field != sample.fields.end();) {
      const Cast* wanted = cast_of(field->name);
      auto value = wanted == nullptr ? std::optional<Value>(std::move(field->value)) : cast(field->value, wanted->to);
      if (value) {
        field->value = std::move(*value);
      } else if (on_error_ == OnError::dead_letter) {
        return context_.error(fmt::format("cast: '{}' does not read as {}", field->name, word(wanted->to)),
                              std::move(sample));
      } else if (on_error_ == OnError::remove) {
        field = sample.fields.erase(field);
        continue;
      }
      ++field;
    }
    out.emit(std::move(sample));
  }

  ingest::StepPlan plan(const ingest::Shape& in) const override {
    ingest::StepPlan plan{.out = in, .problems = {}};
    for (const Cast& one : casts_) {
      if (auto problem = missing_field(in, one.field); !problem.empty()) plan.problems.push_back(std::move(problem));
      if (!one.field.has_star() && on_error_ != OnError::keep) plan.out.fields.try_emplace(one.field.text());
    }
    for (auto& [name, type] : plan.out.fields) {
      const Cast* wanted = cast_of(name);
      if (wanted == nullptr) continue;
      type.kind = on_error_ == OnError::keep ? FieldType::Kind::unknown : kind(wanted->to);
      if (wanted->to == To::text || wanted->to == To::boolean) type.unit.clear();
    }
    return plan;
  }

 private:
  static std::string_view word(To to) {
    switch (to) {
      case To::number: return "a number";
      case To::integer: return "an integer";
      case To::boolean: return "true or false";
      case To::text: return "a text";
    }
    return {};
  }
  static FieldType::Kind kind(To to) {
    if (to == To::text) return FieldType::Kind::text;
    return to == To::boolean ? FieldType::Kind::boolean : FieldType::Kind::number;
  }
  const Cast* cast_of(std::string_view name) const {
    for (const Cast& one : casts_) {
      if (one.field.match(name)) return &one;
    }
    return nullptr;
  }

  std::vector<Cast> casts_;
  OnError on_error_;
  ingest::StepContext context_;
};

}  // namespace

std::unique_ptr<ingest::Step> make_cast(const config::Node& node, const ingest::StepContext& context) {
  config::Map map = node.map();
  const std::string on_error = map.choice("on_error", {"dead_letter", "remove", "keep"}, "dead_letter");
  std::vector<Cast> casts;
  for (const auto& [name, entry] : map.entries()) {
    if (name == "on_error") continue;
    auto field = NamePattern::read(name, entry);
    const std::string to = entry.choice({"number", "integer", "text", "boolean"}, "number");
    if (field) {
      casts.push_back({std::move(*field), to == "number"    ? To::number
                                          : to == "integer" ? To::integer
                                          : to == "text"    ? To::text
                                                            : To::boolean});
    }
  }
  if (casts.empty()) {
    node.problem("casts nothing; write { count: integer, state: text }");
    return nullptr;
  }
  const OnError rule = on_error == "remove" ? OnError::remove
                       : on_error == "keep" ? OnError::keep
                                            : OnError::dead_letter;
  return std::make_unique<CastStep>(std::move(casts), rule, context);
}

}  // namespace penstock::ext::steps
