#include "ingest/derived_field.h"

#include <cmath>

namespace penstock::ingest {

std::vector<DerivedField> read_derived_fields(config::Map& map, std::string_view suffix) {
  const std::string one = map.text("field");
  const std::vector<std::string> many = map.texts("fields");
  const std::string as = map.text("as");
  std::vector<DerivedField> result;
  if (one.empty() == many.empty()) {
    map.node().problem("name what to work on: either field: vib or fields: [vib, temp]");
    return result;
  }
  if (!one.empty()) return {{one, as.empty() ? fmt::format("{}{}", one, suffix) : as}};
  if (!as.empty()) {
    map.get("as").problem(fmt::format("as goes with field; with fields every new name is <field>{}", suffix));
    return result;
  }
  for (const std::string& name : many) {
    auto same = [&](const DerivedField& other) { return other.from == name; };
    if (std::any_of(result.begin(), result.end(), same)) {
      map.get("fields").problem("the field " + name + " is named twice");
      return {};
    }
    result.push_back({name, fmt::format("{}{}", name, suffix)});
  }
  return result;
}

std::optional<double> number_in(const Field* field) {
  if (field == nullptr) return std::nullopt;
  std::optional<double> result;
  if (const auto* real = std::get_if<double>(&field->value)) result = *real;
  if (const auto* whole = std::get_if<std::int64_t>(&field->value)) result = static_cast<double>(*whole);
  if (const auto* flag = std::get_if<bool>(&field->value)) result = *flag ? 1 : 0;
  if (result && !std::isfinite(*result)) return std::nullopt;
  return result;
}

}  // namespace penstock::ingest
