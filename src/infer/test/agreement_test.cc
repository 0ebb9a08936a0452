#include "infer/agreement.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace penstock::infer {
namespace {

using As = CompareConfig::As;

template <class T>
Response response(Datatype datatype, std::vector<std::int64_t> shape, std::vector<T> values) {
  Tensor tensor{.name = "y", .datatype = datatype, .shape = std::move(shape), .bytes = {}, .strings = {}};
  tensor.bytes = Buffer(values.size() * sizeof(T));
  if (!values.empty()) tensor.bytes.copy(values.data());
  Response made;
  made.outputs.push_back(std::move(tensor));
  return made;
}
Response floats(std::vector<float> values) {
  auto count = static_cast<std::int64_t>(values.size());
  return response<float>(Datatype::fp32, {1, count}, std::move(values));
}

bool agree(std::vector<float> one, std::vector<float> other, As as = As::detected, double tolerance = 0.01) {
  return infer::agree(floats(std::move(one)), floats(std::move(other)), {.as = as, .tolerance = tolerance});
}

TEST(Agreement, NumbersAgreeWithinTheTolerance) {
  EXPECT_TRUE(agree({100, -5}, {100.5F, -5.01F}));
  EXPECT_FALSE(agree({100, -5}, {102, -5}));
  EXPECT_FALSE(agree({100, -5}, {100, 5}));
  EXPECT_TRUE(agree({1, 2}, {1, 2}, As::numbers, 0));
  EXPECT_TRUE(agree({1000, 0.001F}, {1000, 0.002F})) << "noise beside a thousand";
  EXPECT_FALSE(agree({0.001F}, {0.002F}));
  EXPECT_TRUE(agree({0, 0}, {0, 0}));
}

TEST(Agreement, WhatIsNoNumberAgreesWithItselfAlone) {
  float nan = std::numeric_limits<float>::quiet_NaN();
  float infinity = std::numeric_limits<float>::infinity();
  EXPECT_TRUE(agree({nan, 1}, {nan, 1}));
  EXPECT_FALSE(agree({nan, 1}, {0, 1}));
  EXPECT_TRUE(agree({infinity}, {infinity}));
  EXPECT_FALSE(agree({infinity}, {-infinity}));
  EXPECT_FALSE(agree({infinity}, {3e38F}));
  EXPECT_FALSE(agree({0.2F, 0.8F}, {nan, 0.8F}, As::classes));
  EXPECT_TRUE(agree({nan, 0.8F}, {nan, 0.7F}, As::classes));
}

TEST(Agreement, ScoresAgreeOnTheHighestClass) {
  EXPECT_TRUE(agree({0.1F, 0.9F}, {0.4F, 0.6F}));
  EXPECT_FALSE(agree({0.1F, 0.9F}, {0.6F, 0.4F}));
  EXPECT_TRUE(agree({0.501F, 0.499F}, {0.499F, 0.501F})) << "as good as tied";
  EXPECT_FALSE(agree({0.1F, 0.9F}, {0.4F, 0.6F}, As::numbers));
  EXPECT_FALSE(agree({-3, 7}, {-5, 9})) << "no shares: numbers";
  EXPECT_TRUE(agree({-3, 7}, {-5, 9}, As::classes));
  Response rows = response<float>(Datatype::fp32, {2, 2}, {0.1F, 0.9F, 0.8F, 0.2F});
  EXPECT_TRUE(infer::agree(rows, response<float>(Datatype::fp32, {2, 2}, {0.3F, 0.7F, 0.6F, 0.4F}), {}));
  EXPECT_FALSE(infer::agree(rows, response<float>(Datatype::fp32, {2, 2}, {0.3F, 0.7F, 0.4F, 0.6F}), {}));
}

TEST(Agreement, EverythingElseAgreesWhenItIsEqual) {
  using T = std::int64_t;
  EXPECT_TRUE(agree(response<T>(Datatype::int64, {2}, {1, 2}), response<T>(Datatype::int64, {2}, {1, 2}), {}));
  EXPECT_FALSE(agree(response<T>(Datatype::int64, {2}, {1000, 2}), response<T>(Datatype::int64, {2}, {1001, 2}), {}));
  EXPECT_FALSE(agree(response<T>(Datatype::int64, {2}, {1, 2}), response<T>(Datatype::int64, {2, 1}, {1, 2}), {}));
  EXPECT_FALSE(agree(response<T>(Datatype::int64, {1}, {1}), response<T>(Datatype::uint64, {1}, {1}), {}));
  EXPECT_TRUE(agree(response<float>(Datatype::fp32, {0, 3}, {}), response<float>(Datatype::fp32, {0, 3}, {}), {}));
  EXPECT_FALSE(agree(Response(), floats({1}), {}));
  Response one;
  one.outputs.push_back({.name = "y", .datatype = Datatype::bytes, .shape = {1}, .bytes = {}, .strings = {"cat"}});
  Response other = one;
  EXPECT_TRUE(agree(one, other, {}));
  other.outputs[0].strings[0] = "dog";
  EXPECT_FALSE(agree(one, other, {}));
  other = one;
  other.outputs[0].name = "z";
  EXPECT_FALSE(agree(one, other, {}));
}

TEST(Agreement, HalvesAreReadAsNumbers) {
  using T = std::uint16_t;
  auto half = [](float value) { return response<T>(Datatype::fp16, {1}, {to_half(value)}); };
  auto twice = [](double value) { return response<double>(Datatype::fp64, {}, {value}); };
  EXPECT_TRUE(agree(half(1.0F), half(1.005F), {}));
  EXPECT_FALSE(agree(half(1.0F), half(1.05F), {}));
  EXPECT_TRUE(agree(twice(2.0), twice(2.001), {}));
  EXPECT_FALSE(agree(twice(2.0), twice(2.1), {}));
}

}  // namespace
}  // namespace penstock::infer
