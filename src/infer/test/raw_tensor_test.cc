#include "infer/raw_tensor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace penstock::infer {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

ModelInfo taking(Datatype datatype, std::vector<std::int64_t> shape) {
  return {.platform = {}, .inputs = {{"x", datatype, std::move(shape)}}, .outputs = {}};
}

std::string refusal(const ModelInfo& model, std::string_view raw) {
  auto tensor = deduce_raw(model, raw);
  return tensor ? std::string() : tensor.error().detail;
}

TEST(DeduceRaw, FillsInTheOpenDimension) {
  std::string bytes(24, '\1');
  EXPECT_THAT(deduce_raw(taking(Datatype::fp32, {2, 3}), bytes)->shape, ElementsAre(2, 3));
  EXPECT_THAT(deduce_raw(taking(Datatype::fp32, {-1, 3}), bytes)->shape, ElementsAre(2, 3));
  EXPECT_THAT(deduce_raw(taking(Datatype::fp32, {-1, -1}), bytes)->shape, ElementsAre(1, 6));
  EXPECT_THAT(deduce_raw(taking(Datatype::uint8, {-1, 2, -1}), bytes)->shape, ElementsAre(1, 2, 12));
  EXPECT_THAT(deduce_raw(taking(Datatype::fp32, {-1, 3}), "")->shape, ElementsAre(0, 3));
  auto values = deduce_raw(taking(Datatype::int16, {-1}), std::string_view("\1\0\2\0", 4));
  EXPECT_THAT(values->values<std::int16_t>(), ElementsAre(1, 2));
}

TEST(DeduceRaw, TakesTheBodyAsTheOneElementOfBytes) {
  auto text = deduce_raw(taking(Datatype::bytes, {-1, 1}), "hello");
  EXPECT_THAT(text->strings, ElementsAre("hello"));
  EXPECT_THAT(text->shape, ElementsAre(1, 1));
  EXPECT_THAT(refusal(taking(Datatype::bytes, {2}), "hello"), HasSubstr("more than one element"));
}

TEST(DeduceRaw, SaysWhatDoesNotFit) {
  EXPECT_THAT(refusal(taking(Datatype::fp32, {2, 3}), "12345678"), HasSubstr("takes 6 elements of 4 bytes, got 8"));
  EXPECT_THAT(refusal(taking(Datatype::fp32, {-1, 3}), "12345678"), HasSubstr("8 bytes are no multiple of 12"));
  EXPECT_THAT(refusal(taking(Datatype::fp32, {2, -1, -1}), "12345678"), HasSubstr("more than one dimension is open"));
  EXPECT_THAT(refusal(taking(Datatype::fp32, {-1, 0}), "1234"), HasSubstr("no multiple of 0"));
  EXPECT_THAT(refusal(taking(Datatype::fp32, {-1, INT64_MAX, 8}), "1234"), HasSubstr("too many elements"));
  ModelInfo two = taking(Datatype::fp32, {1});
  two.inputs.push_back(two.inputs.front());
  EXPECT_THAT(refusal(two, "1234"), HasSubstr("a model of one input, and this one has 2"));
}

}  // namespace
}  // namespace penstock::infer
