#include "ingest/shape.h"

namespace penstock::ingest {
namespace {

constexpr std::size_t kFieldsShown = 24;

Shape fields_of_both(const Shape& left, const Shape& right) {
  Shape both;
  both.open = left.open || right.open;
  both.fields = left.fields;
  for (const auto& [name, type] : right.fields) {
    auto [place, is_new] = both.fields.try_emplace(name, type);
    if (is_new) continue;
    if (place->second.kind != type.kind) place->second.kind = FieldType::Kind::unknown;
    if (place->second.unit != type.unit) place->second.unit.clear();
    const bool known = place->second.longest > 0 && type.longest > 0;
    place->second.longest = known ? std::max(place->second.longest, type.longest) : 0;
  }
  return both;
}

}  // namespace

std::string_view to_string(FieldType::Kind kind) {
  switch (kind) {
    case FieldType::Kind::unknown: return "any";
    case FieldType::Kind::boolean: return "boolean";
    case FieldType::Kind::number: return "number";
    case FieldType::Kind::text: return "text";
    case FieldType::Kind::array: return "array";
  }
  return "any";
}

Shape merged(const Shape& left, const Shape& right) {
  Shape both = fields_of_both(left, right);
  if (left.samples_per_second && right.samples_per_second) {
    both.samples_per_second = *left.samples_per_second + *right.samples_per_second;
  }
  return both;
}

Shape alternative(const Shape& left, const Shape& right) {
  Shape both = fields_of_both(left, right);
  if (left.samples_per_second && right.samples_per_second) {
    both.samples_per_second = std::max(*left.samples_per_second, *right.samples_per_second);
  }
  return both;
}

std::string to_text(const Shape& shape) {
  std::vector<std::string> parts;
  for (const auto& [name, type] : shape.fields) {
    if (parts.size() >= kFieldsShown) {
      parts.push_back(fmt::format("and {} more", shape.fields.size() - kFieldsShown));
      break;
    }
    parts.push_back(fmt::format("{} {}{}{}", name, to_string(type.kind), type.unit.empty() ? "" : " ", type.unit));
  }
  if (shape.open) parts.emplace_back(shape.fields.empty() ? "any fields" : "others");
  if (parts.empty()) parts.emplace_back("no fields");
  std::string out = fmt::format("{}", fmt::join(parts, ", "));
  if (shape.samples_per_second) out += fmt::format("; at most {:.6g} samples/s", *shape.samples_per_second);
  return out;
}

}  // namespace penstock::ingest
