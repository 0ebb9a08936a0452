#include "infer/batch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "infer/test/fake_runtime.h"

namespace penstock::infer {
namespace {

using ::testing::ElementsAre;

Tensor words(std::vector<std::string> strings) {
  auto count = static_cast<std::int64_t>(strings.size());
  return {.name = "w", .datatype = Datatype::bytes, .shape = {count, 1}, .bytes = {}, .strings = std::move(strings)};
}

Request request(const std::vector<float>& x, std::vector<std::string> strings) {
  Request request;
  request.inputs.push_back(floats("x", {static_cast<std::int64_t>(x.size() / 2), 2}, x));
  request.inputs.push_back(words(std::move(strings)));
  return request;
}

TEST(Batch, NeedsAnOpenFirstDimensionEverywhere) {
  ModelInfo info{.inputs = {{"x", Datatype::fp32, {-1, 2}}}, .outputs = {{"y", Datatype::fp32, {-1}}}};
  EXPECT_TRUE(batchable(info));
  info.outputs.push_back({"z", Datatype::fp32, {1}});
  EXPECT_FALSE(batchable(info));
  info.outputs.back().shape = {};
  EXPECT_FALSE(batchable(info));
  EXPECT_FALSE(batchable({}));
}

TEST(Batch, SignatureTellsShapesAndOutputsApart) {
  const std::size_t both[] = {0, 1};
  const std::size_t second[] = {1};
  std::string signature = batch_signature(request({1, 2}, {"a"}), both);
  EXPECT_FALSE(signature.empty());
  EXPECT_EQ(signature, batch_signature(request({1, 2, 3, 4}, {"a", "b"}), both));
  EXPECT_NE(signature, batch_signature(request({1, 2}, {"a"}), second));
  Request wide = request({1, 2}, {"a"});
  wide.inputs[0] = floats("x", {1, 4}, {1, 2, 3, 4});
  EXPECT_NE(signature, batch_signature(wide, both));
  Request deep = request({1, 2}, {"a"});
  deep.inputs[0].shape = {1, 2, 1};
  EXPECT_NE(signature, batch_signature(deep, both));
}

TEST(Batch, UnevenRowsRunAlone) {
  const std::size_t outputs[] = {0};
  EXPECT_EQ(batch_signature(request({1, 2, 3, 4}, {"a"}), outputs), "");
  EXPECT_EQ(batch_signature(request({}, {}), outputs), "");
  Request scalar = request({1, 2}, {"a"});
  scalar.inputs[1].shape = {};
  EXPECT_EQ(batch_signature(scalar, outputs), "");
}

TEST(Batch, WhatIsJoinedIsSplitAgain) {
  Request first = request({1, 2}, {"a"});
  Request second = request({3, 4, 5, 6}, {"b", "c"});
  const Request* both[] = {&first, &second};
  std::vector<Tensor> joined = join(both);
  ASSERT_EQ(joined.size(), 2U);
  EXPECT_THAT(joined[0].shape, ElementsAre(3, 2));
  EXPECT_THAT(joined[0].values<float>(), ElementsAre(1, 2, 3, 4, 5, 6));
  EXPECT_THAT(joined[1].shape, ElementsAre(3, 1));
  EXPECT_THAT(joined[1].strings, ElementsAre("a", "b", "c"));
  const std::size_t rows[] = {1, 2};
  auto parts = split(joined, rows);
  ASSERT_TRUE(parts);
  EXPECT_THAT((*parts)[0][0].values<float>(), ElementsAre(1, 2));
  EXPECT_THAT((*parts)[1][0].values<float>(), ElementsAre(3, 4, 5, 6));
  EXPECT_THAT((*parts)[1][0].shape, ElementsAre(2, 2));
  EXPECT_THAT((*parts)[0][1].strings, ElementsAre("a"));
  EXPECT_THAT((*parts)[1][1].strings, ElementsAre("b", "c"));
}

TEST(Batch, DoesNotSplitWhatIsNotByRow) {
  std::vector<Tensor> outputs;
  outputs.push_back(floats("y", {2, 2}, {1, 2, 3, 4}));
  const std::size_t three[] = {1, 2};
  EXPECT_FALSE(split(outputs, three));
  outputs[0].shape = {};
  EXPECT_FALSE(split(outputs, three));
  outputs[0] = floats("y", {3, 2}, {1, 2, 3, 4});  // claims more than it holds
  EXPECT_FALSE(split(outputs, three));
}

}  // namespace
}  // namespace penstock::infer
