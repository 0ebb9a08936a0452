#include "infer/agreement.h"

#include <cmath>

namespace penstock::infer {
namespace {

// Below this part of the largest magnitude of a tensor, numbers are measured against it.
constexpr double kNoiseShare = 0.01;
// How far a row of shares may miss 1: what FP16 does to it.
constexpr double kSumSlack = 0.01;

std::vector<double> numbers_of(const Tensor& tensor) {
  std::vector<double> numbers;
  auto add = [&]<class T>(std::span<const T> values, auto convert) {
    numbers.reserve(values.size());
    for (T value : values) numbers.push_back(static_cast<double>(convert(value)));
  };
  switch (tensor.datatype) {
    case Datatype::fp16: add(tensor.values<std::uint16_t>(), from_half); break;
    case Datatype::bf16: add(tensor.values<std::uint16_t>(), from_bfloat); break;
    case Datatype::fp32: add(tensor.values<float>(), [](float value) { return value; }); break;
    default: add(tensor.values<double>(), [](double value) { return value; });
  }
  return numbers;
}

double largest(std::span<const double> numbers) {
  double most = 0;
  for (double number : numbers) {
    if (std::isfinite(number)) most = std::max(most, std::abs(number));
  }
  return most;
}

// `floor`: magnitudes below it count as it.
bool close(double one, double other, double tolerance, double floor) {
  if (std::isnan(one) || std::isnan(other)) return std::isnan(one) && std::isnan(other);
  if (std::isinf(one) || std::isinf(other)) return one == other;
  return std::abs(one - other) <= tolerance * std::max({std::abs(one), std::abs(other), floor});
}

// Rows of shares that add up to 1.
bool are_shares(std::span<const double> numbers, std::size_t classes) {
  for (std::size_t from = 0; from < numbers.size(); from += classes) {
    double sum = 0;
    for (double number : numbers.subspan(from, classes)) {
      if (!(number >= 0 && number <= 1 + kSumSlack)) return false;
      sum += number;
    }
    if (std::abs(sum - 1) > kSumSlack) return false;
  }
  return true;
}

// NaN is the highest: it must not hide.
std::size_t highest(std::span<const double> row) {
  std::size_t found = 0;
  for (std::size_t i = 0; i < row.size(); ++i) {
    if (std::isnan(row[i])) return i;
    if (row[i] > row[found]) found = i;
  }
  return found;
}

bool same_class(std::span<const double> one, std::span<const double> other, double tolerance) {
  std::size_t first = highest(one);
  std::size_t second = highest(other);
  if (std::isnan(one[first]) || std::isnan(other[second])) return std::isnan(one[first]) && std::isnan(other[second]);
  return first == second || close(one[first], one[second], tolerance, 0) ||
         close(other[first], other[second], tolerance, 0);
}

bool agree(const std::vector<double>& one, const std::vector<double>& other, std::size_t classes,
           const CompareConfig& how) {
  bool scores = classes >= 2 && how.as != CompareConfig::As::numbers &&
                (how.as == CompareConfig::As::classes || (are_shares(one, classes) && are_shares(other, classes)));
  if (scores) {
    for (std::size_t from = 0; from < one.size(); from += classes) {
      auto row = [&](const std::vector<double>& all) { return std::span(all).subspan(from, classes); };
      if (!same_class(row(one), row(other), how.tolerance)) return false;
    }
    return true;
  }
  double floor = kNoiseShare * std::max(largest(one), largest(other));
  for (std::size_t i = 0; i < one.size(); ++i) {
    if (!close(one[i], other[i], how.tolerance, floor)) return false;
  }
  return true;
}

bool is_floating(Datatype datatype) {
  return datatype == Datatype::fp16 || datatype == Datatype::bf16 || datatype == Datatype::fp32 ||
         datatype == Datatype::fp64;
}

bool agree(const Tensor& one, const Tensor& other, const CompareConfig& how) {
  if (one.name != other.name || one.datatype != other.datatype || one.shape != other.shape) return false;
  if (one.bytes.size() != other.bytes.size() || one.strings != other.strings) return false;
  if (!is_floating(one.datatype)) {
    return one.bytes.size() == 0 || std::memcmp(one.bytes.data(), other.bytes.data(), one.bytes.size()) == 0;
  }
  std::vector<double> numbers = numbers_of(one);
  std::size_t classes = one.shape.empty() ? 0 : static_cast<std::size_t>(one.shape.back());
  if (classes == 0 || numbers.size() % classes != 0) classes = 0;
  return agree(numbers, numbers_of(other), classes, how);
}

}  // namespace

bool agree(const Response& one, const Response& other, const CompareConfig& how) {
  if (one.outputs.size() != other.outputs.size()) return false;
  for (std::size_t i = 0; i < one.outputs.size(); ++i) {
    if (!agree(one.outputs[i], other.outputs[i], how)) return false;
  }
  return true;
}

}  // namespace penstock::infer
