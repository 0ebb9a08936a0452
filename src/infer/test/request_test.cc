#include "infer/request.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "infer/test/fake_runtime.h"

namespace penstock::infer {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

const ModelInfo kInfo{.platform = {},
                      .inputs = {{"a", Datatype::fp32, {-1, 2}}, {"b", Datatype::fp32, {}}},
                      .outputs = {{"y", Datatype::fp32, {}}, {"z", Datatype::fp32, {}}}};

Request good() {
  Request request;
  request.inputs.push_back(floats("b", {1}, {9}));
  request.inputs.push_back(floats("a", {1, 2}, {1, 2}));
  return request;
}

std::string refusal(Request request) {
  auto outputs = match(kInfo, request);
  return outputs ? std::string() : outputs.error().detail;
}

TEST(Match, PutsInputsIntoTheModelsOrder) {
  Request request = good();
  request.outputs = {"z", "y"};
  auto outputs = match(kInfo, request);
  ASSERT_TRUE(outputs);
  EXPECT_THAT(*outputs, ElementsAre(1, 0));
  EXPECT_EQ(request.inputs[0].name, "a");
  EXPECT_EQ(request.inputs[1].name, "b");
}

TEST(Match, GivesAllOutputsWhenNoneAreNamed) {
  Request request = good();
  EXPECT_THAT(match(kInfo, request).value(), ElementsAre(0, 1));
}

TEST(Match, NamesTheTensorWhatWasExpectedAndWhatCame) {
  Request missing = good();
  missing.inputs.pop_back();
  EXPECT_EQ(refusal(missing), "input 'a' is missing; the model takes 'a', 'b'");
  Request unknown = good();
  unknown.inputs.push_back(floats("c", {1}, {1}));
  EXPECT_EQ(refusal(unknown), "unknown input 'c'; the model takes 'a', 'b'");
  Request twice = good();
  twice.inputs.push_back(floats("b", {1}, {1}));
  EXPECT_EQ(refusal(twice), "input 'b' is given twice");
  Request rank = good();
  rank.inputs[1] = floats("a", {2}, {1, 2});
  EXPECT_EQ(refusal(rank), "input 'a': expected shape [-1,2], got [2]");
  Request dimension = good();
  dimension.inputs[1] = floats("a", {1, 3}, {1, 2, 3});
  EXPECT_EQ(refusal(dimension), "input 'a': expected shape [-1,2], got [1,3]");
  Request datatype = good();
  datatype.inputs[1].datatype = Datatype::int32;
  EXPECT_EQ(refusal(datatype), "input 'a': expected datatype FP32, got INT32");
  Request count = good();
  count.inputs[1] = floats("a", {2, 2}, {1, 2});
  EXPECT_EQ(refusal(count), "input 'a': shape [2,2] means 4 elements, got 2");
  Request output = good();
  output.outputs = {"q"};
  EXPECT_EQ(refusal(output), "unknown output 'q'; the model gives 'y', 'z'");
  output.outputs = {"y", "y"};
  EXPECT_THAT(refusal(output), HasSubstr("twice"));
}

TEST(Match, RefusesShapesThatLie) {
  Request negative = good();
  negative.inputs[1].shape = {-1, 2};
  EXPECT_THAT(refusal(negative), HasSubstr("negative dimension"));
  Request overflowing = good();
  overflowing.inputs[0].shape = {INT64_MAX, INT64_MAX};
  EXPECT_THAT(refusal(overflowing), HasSubstr("too many elements"));
  Request most = good();
  most.inputs[0].shape = {INT64_MAX};  // times four bytes that is more than there are
  EXPECT_THAT(refusal(most), HasSubstr("got 1"));
  Request ragged = good();
  ragged.inputs[0].bytes = Buffer(6);
  EXPECT_EQ(refusal(ragged), "input 'b': 6 bytes are not 1 elements of 4 bytes");
  Request deep = good();
  deep.inputs[0].shape.assign(kRankMax + 1, 1);
  EXPECT_THAT(refusal(deep), HasSubstr("dimensions"));
}

TEST(Match, TakesWhatIsNoNumber) {
  Request request = good();
  request.inputs[0] = floats("b", {1}, {std::nanf("")});
  EXPECT_EQ(refusal(request), "");
}

TEST(Match, RefusesAnOutputAskedForTwice) {
  Request request = good();
  request.outputs = {"y", "y"};
  EXPECT_EQ(refusal(request), "output 'y' is asked for twice");
}

}  // namespace
}  // namespace penstock::infer
