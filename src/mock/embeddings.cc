#include "mock/embeddings.h"

#include <bit>
#include <cmath>

#include "base/text.h"
#include "json/peek.h"
#include "json/value.h"
#include "mock/base64.h"

namespace penstock::mock {
namespace {

using Kind = json::Field::Kind;

constexpr std::int64_t kDimensions = 256;  // when the request names none
constexpr std::int64_t kDimensionsMax = 4096;
constexpr std::size_t kInputsMax = 2048;

void add_word(std::vector<double>& sum, std::uint64_t word) {
  Random random(word);
  for (double& x : sum) x += random.unit() * 2 - 1;
}

std::vector<float> unit(const std::vector<double>& sum) {
  double square = 0;
  for (double x : sum) square += x * x;
  double length = std::sqrt(square);
  std::vector<float> vector(sum.size());
  for (std::size_t i = 0; i < sum.size(); ++i) vector[i] = static_cast<float>(length > 0 ? sum[i] / length : 0);
  return vector;
}

std::vector<float> vector_of(std::string_view text, std::size_t dimensions, std::uint64_t seed) {
  std::vector<double> sum(dimensions);
  std::string word;
  auto end_word = [&] {
    if (!word.empty()) add_word(sum, hash(word, seed));
    word.clear();
  };
  bool any = false;
  for (char c : text) {
    bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  static_cast<unsigned char>(c) >= 0x80U;
    if (!letter) {
      end_word();
      continue;
    }
    any = true;
    word += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  }
  end_word();
  if (!any) add_word(sum, hash(text, seed));
  return unit(sum);
}

std::vector<float> vector_of(const json::Array& tokens, std::size_t dimensions, std::uint64_t seed) {
  std::vector<double> sum(dimensions);
  for (const auto& token : tokens) {
    if (token.is_int64()) add_word(sum, seed + static_cast<std::uint64_t>(token.get_int64()));
  }
  return unit(sum);
}

std::string packed(const std::vector<float>& vector) {
  static_assert(std::endian::native == std::endian::little, "the API sends little-endian floats");
  return base64({reinterpret_cast<const char*>(vector.data()), vector.size() * sizeof(float)});
}

std::vector<std::vector<float>> vectors_of(const json::Value& input, std::size_t dimensions, std::uint64_t seed) {
  std::vector<std::vector<float>> vectors;
  if (input.is_string()) vectors.push_back(vector_of(std::string_view(input.get_string()), dimensions, seed));
  if (!input.is_array()) return vectors;
  const json::Array& items = input.get_array();
  if (!items.empty() && items.front().is_number()) {
    vectors.push_back(vector_of(items, dimensions, seed));
    return vectors;
  }
  for (const auto& item : items) {
    if (item.is_string()) vectors.push_back(vector_of(std::string_view(item.get_string()), dimensions, seed));
    if (item.is_array()) vectors.push_back(vector_of(item.get_array(), dimensions, seed));
  }
  return vectors;
}

}  // namespace

std::vector<float> embed_text(std::string_view text, std::size_t dimensions, std::uint64_t seed) {
  return vector_of(text, dimensions, seed);
}

std::expected<std::string, Refusal> embed(std::string_view text, const Options& options, bool usage,
                                          std::string& model) {
  constexpr std::array<std::string_view, 4> kNames = {"model", "input", "encoding_format", "dimensions"};
  auto peeked = json::peek(text, kNames);
  if (!peeked) return refuse(peeked.error().detail);
  const auto& [name, input, format, size] =
      std::tie(peeked->fields[0], peeked->fields[1], peeked->fields[2], peeked->fields[3]);
  if (name.kind != Kind::string) return refuse("you must provide a model parameter", "model");
  model = name.string;
  std::int64_t dimensions = kDimensions;
  if (size.kind != Kind::absent && size.kind != Kind::null) {
    if (size.kind != Kind::integer || size.integer < 1 || size.integer > kDimensionsMax) {
      return refuse(fmt::format("'dimensions' must be an integer from 1 to {}.", kDimensionsMax), "dimensions");
    }
    dimensions = size.integer;
  }
  if (format.kind == Kind::string && format.string != "float" && format.string != "base64") {
    return refuse("'encoding_format' must be float or base64.", "encoding_format");
  }
  if (input.kind != Kind::string && (input.kind != Kind::array || input.elements == 0 || input.elements > kInputsMax)) {
    return refuse(fmt::format("'input' must be a string or an array of 1 to {} inputs.", kInputsMax), "input");
  }
  std::string_view raw = text.substr(input.begin, input.end - input.begin);
  auto vectors = vectors_of(json::parse(raw).value_or(nullptr), static_cast<std::size_t>(dimensions), options.seed);
  if (vectors.empty()) return refuse("'input' must hold strings or token arrays.", "input");

  std::string out = R"({"object":"list","data":[)";
  for (std::size_t i = 0; i < vectors.size(); ++i) {
    fmt::format_to(std::back_inserter(out), R"({}{{"object":"embedding","index":{},"embedding":)", i > 0 ? "," : "", i);
    if (format.string == "base64") {
      base::append(out, "\"", packed(vectors[i]), "\"");
    } else {
      fmt::format_to(std::back_inserter(out), "[{}]", fmt::join(vectors[i], ","));
    }
    out += '}';
  }
  out += R"(],"model":)";
  json::append_quoted(out, model);
  std::size_t tokens = raw.size() / 4 + 1;
  if (usage) fmt::format_to(std::back_inserter(out), R"(,"usage":{{"prompt_tokens":{0},"total_tokens":{0}}})", tokens);
  out += '}';
  return out;
}

}  // namespace penstock::mock
