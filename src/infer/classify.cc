#include "infer/classify.h"

#include <cmath>
#include <numeric>

namespace penstock::infer {
namespace {

template <class T>
bool is_nan([[maybe_unused]] T value) {
  if constexpr (std::is_floating_point_v<T>) return std::isnan(value);
  return false;
}

// Appends the highest `count` of `values`, with their places.
template <class T>
void append_highest(std::span<const T> values, std::size_t count, std::vector<std::string>& out) {
  std::vector<std::size_t> places(values.size());
  std::iota(places.begin(), places.end(), 0);
  auto higher = [&](std::size_t a, std::size_t b) {
    if (is_nan(values[a]) || is_nan(values[b])) {
      if (is_nan(values[a]) != is_nan(values[b])) return is_nan(values[b]);
      return a < b;
    }
    return values[a] > values[b] || (values[a] == values[b] && a < b);
  };
  auto end = places.begin() + static_cast<std::ptrdiff_t>(count);
  std::partial_sort(places.begin(), end, places.end(), higher);
  for (auto place = places.begin(); place != end; ++place) out.push_back(fmt::format("{}:{}", values[*place], *place));
}

template <class T>
void classify_rows(std::span<const T> values, std::size_t rows, std::size_t count, std::vector<std::string>& out) {
  std::size_t width = rows == 0 ? 0 : values.size() / rows;
  for (std::size_t row = 0; row < rows; ++row) append_highest(values.subspan(row * width, width), count, out);
}

std::vector<float> widened(const Tensor& tensor) {
  std::vector<float> wide;
  wide.reserve(tensor.elements());
  for (std::uint16_t bits : tensor.values<std::uint16_t>())
    wide.push_back(tensor.datatype == Datatype::fp16 ? from_half(bits) : from_bfloat(bits));
  return wide;
}

void classify_rows(const Tensor& tensor, std::size_t rows, std::size_t count, std::vector<std::string>& out) {
  switch (tensor.datatype) {
    case Datatype::uint8: return classify_rows(tensor.values<std::uint8_t>(), rows, count, out);
    case Datatype::uint16: return classify_rows(tensor.values<std::uint16_t>(), rows, count, out);
    case Datatype::uint32: return classify_rows(tensor.values<std::uint32_t>(), rows, count, out);
    case Datatype::uint64: return classify_rows(tensor.values<std::uint64_t>(), rows, count, out);
    case Datatype::int8: return classify_rows(tensor.values<std::int8_t>(), rows, count, out);
    case Datatype::int16: return classify_rows(tensor.values<std::int16_t>(), rows, count, out);
    case Datatype::int32: return classify_rows(tensor.values<std::int32_t>(), rows, count, out);
    case Datatype::int64: return classify_rows(tensor.values<std::int64_t>(), rows, count, out);
    case Datatype::fp32: return classify_rows(tensor.values<float>(), rows, count, out);
    case Datatype::fp64: return classify_rows(tensor.values<double>(), rows, count, out);
    case Datatype::fp16:
    case Datatype::bf16: {
      std::vector<float> wide = widened(tensor);
      return classify_rows(std::span<const float>(wide), rows, count, out);
    }
    case Datatype::boolean:
    case Datatype::bytes: return;
  }
}

}  // namespace

Result<Tensor> classify(const Tensor& tensor, std::size_t count, bool rows_first) {
  if (tensor.datatype == Datatype::boolean || tensor.datatype == Datatype::bytes) {
    return fail(Errc::invalid_argument,
                fmt::format("output '{}' is {}, which has no classes: leave out 'classification'", tensor.name,
                            to_string(tensor.datatype)));
  }
  bool by_row = rows_first && !tensor.shape.empty();
  auto rows = by_row ? static_cast<std::size_t>(tensor.shape.front()) : std::size_t{1};
  count = std::min(count, rows == 0 ? 0 : tensor.elements() / rows);
  Tensor classes{.name = tensor.name, .datatype = Datatype::bytes, .shape = {}, .bytes = {}, .strings = {}};
  if (by_row) classes.shape.push_back(tensor.shape.front());
  classes.shape.push_back(static_cast<std::int64_t>(count));
  if (count == 0) return classes;  // there may be any number of empty rows
  classes.strings.reserve(rows * count);
  classify_rows(tensor, rows, count, classes.strings);
  return classes;
}

}  // namespace penstock::infer
