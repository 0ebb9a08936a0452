#include "json_difference.h"

#include <fmt/format.h>

#include <cmath>

namespace penstock::golden {
namespace {

constexpr double kFloatPrecision = 1e-6;

bool same_number(const json::Value& a, const json::Value& b) {
  if (a.is_int64() && b.is_int64()) return a.get_int64() == b.get_int64();
  auto x = a.to_number<double>();
  auto y = b.to_number<double>();
  return x == y || std::abs(x - y) <= kFloatPrecision * std::max(std::abs(x), std::abs(y));
}

class Comparison {
 public:
  void compare(const json::Value& is, const json::Value& should, const std::string& path) {
    if (is.is_object() && should.is_object()) return objects(is.get_object(), should.get_object(), path);
    if (is.is_array() && should.is_array()) return arrays(is.get_array(), should.get_array(), path);
    bool same = is.is_number() && should.is_number() ? same_number(is, should) : is == should;
    if (!same) add(path, "is {}, should be {}", json::dump(is), json::dump(should));
  }
  std::string found;

 private:
  template <class... Values>
  void add(const std::string& path, fmt::format_string<Values...> text, Values&&... values) {
    found += fmt::format("  {}: ", path.empty() ? "the whole" : path);
    found += fmt::format(text, std::forward<Values>(values)...) + "\n";
  }
  void objects(const json::Object& is, const json::Object& should, const std::string& path) {
    auto below = [&](std::string_view key) {
      return path.empty() ? std::string(key) : fmt::format("{}.{}", path, key);
    };
    for (const auto& [key, value] : should) {
      const json::Value* other = is.if_contains(key);
      if (other != nullptr) {
        compare(*other, value, below(key));
      } else {
        add(below(key), "is missing, should be {}", json::dump(value));
      }
    }
    for (const auto& [key, value] : is) {
      if (!should.contains(key)) add(below(key), "is {}, should not be there", json::dump(value));
    }
  }
  void arrays(const json::Array& is, const json::Array& should, const std::string& path) {
    for (std::size_t i = 0; i < std::max(is.size(), should.size()); ++i) {
      std::string below = fmt::format("{}[{}]", path, i);
      if (i >= is.size()) {
        add(below, "is missing, should be {}", json::dump(should[i]));
      } else if (i >= should.size()) {
        add(below, "is {}, should not be there", json::dump(is[i]));
      } else {
        compare(is[i], should[i], below);
      }
    }
  }
};

}  // namespace

std::string differences(const json::Value& is, const json::Value& should) {
  Comparison comparison;
  comparison.compare(is, should, "");
  return comparison.found;
}

std::string text_differences(std::string_view is, std::string_view should) {
  auto left = json::parse(is);
  if (!left) return fmt::format("  what came is no JSON ({}): {}\n", left.error().detail, is);
  auto right = json::parse(should);
  if (!right) return fmt::format("  what the case expects is no JSON: {}\n", right.error().detail);
  return differences(*left, *right);
}

}  // namespace penstock::golden
