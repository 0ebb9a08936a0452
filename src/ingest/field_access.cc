#include "ingest/field_access.h"

#include <cmath>

#include "base/quantity.h"

namespace penstock::ingest {

double number_of(const Value& value) {
  if (const auto* number = std::get_if<double>(&value)) return *number;
  if (const auto* integer = std::get_if<std::int64_t>(&value)) return static_cast<double>(*integer);
  if (const auto* boolean = std::get_if<bool>(&value)) return *boolean ? 1 : 0;
  return std::nan("");
}

double number_of(const Sample& sample, std::string_view field) {
  const Field* found = sample.find(field);
  return found == nullptr ? std::nan("") : number_of(found->value);
}

std::optional<NamePattern> NamePattern::read(std::string text, const config::Node& node) {
  NamePattern pattern;
  pattern.star_ = text.find('*');
  const bool two = pattern.has_star() && text.find('*', pattern.star_ + 1) != std::string::npos;
  if (text.empty()) node.problem("a field's name is missing");
  if (two) node.problem(fmt::format("'{}' has two stars; a name has at most one", text));
  if (text.empty() || two) return std::nullopt;
  pattern.text_ = std::move(text);
  return pattern;
}

std::optional<std::string_view> NamePattern::match(std::string_view name) const {
  if (!has_star()) return name == text_ ? std::optional<std::string_view>("") : std::nullopt;
  const std::string_view before = std::string_view(text_).substr(0, star_);
  const std::string_view after = std::string_view(text_).substr(star_ + 1);
  if (name.size() < before.size() + after.size() || !name.starts_with(before) || !name.ends_with(after)) {
    return std::nullopt;
  }
  return name.substr(before.size(), name.size() - before.size() - after.size());
}

std::string NamePattern::filled(std::string_view star) const {
  if (!has_star()) return text_;
  return text_.substr(0, star_) + std::string(star) + text_.substr(star_ + 1);
}

const NamePattern* find_match(const std::vector<NamePattern>& patterns, std::string_view name) {
  for (const NamePattern& pattern : patterns) {
    if (pattern.match(name)) return &pattern;
  }
  return nullptr;
}

std::vector<NamePattern> read_patterns(const config::Node& node) {
  std::vector<NamePattern> patterns;
  const auto add = [&](const config::Node& one) {
    if (auto pattern = NamePattern::read(one.text(), one)) patterns.push_back(std::move(*pattern));
  };
  if (node.kind() == config::Node::Kind::list) {
    for (const config::Node& one : node.items()) add(one);
  } else if (node.present()) {
    add(node);
  }
  return patterns;
}

std::string missing_field(const Shape& shape, std::string_view field) {
  if (shape.open || shape.fields.contains(field)) return {};
  std::vector<std::string> known;
  for (const auto& [name, type] : shape.fields) known.push_back(name);
  const auto hint = base::closest(field, known);
  return fmt::format("there is no field '{}' here{}", field, hint ? fmt::format("; did you mean '{}'?", *hint) : "");
}

std::string missing_field(const Shape& shape, const NamePattern& pattern) {
  if (!pattern.has_star()) return missing_field(shape, pattern.text());
  const bool fits = std::any_of(shape.fields.begin(), shape.fields.end(),
                                [&](const auto& field) { return pattern.match(field.first).has_value(); });
  return shape.open || fits ? std::string() : fmt::format("no field here fits '{}'", pattern.text());
}

}  // namespace penstock::ingest
