#include "infer/classify.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "infer/test/fake_runtime.h"

namespace penstock::infer {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST(Classify, NamesTheHighestOfTheWholeTensor) {
  Tensor scores = floats("y", {2, 2}, {1.1F, 3.3F, 0.5F, 2.4F});
  auto classes = classify(scores, 2, false);
  ASSERT_TRUE(classes);
  EXPECT_EQ(classes->name, "y");
  EXPECT_EQ(classes->datatype, Datatype::bytes);
  EXPECT_THAT(classes->shape, ElementsAre(2));
  EXPECT_THAT(classes->strings, ElementsAre("3.3:1", "2.4:3"));
}

TEST(Classify, LooksAtEachRowByItself) {
  Tensor scores = floats("y", {2, 3}, {0, 5, 5, -1, -3, -2});
  auto classes = classify(scores, 2, true);
  EXPECT_THAT(classes->shape, ElementsAre(2, 2));
  EXPECT_THAT(classes->strings, ElementsAre("5:1", "5:2", "-1:0", "-2:2"));
}

TEST(Classify, HasNoMoreClassesThanElements) {
  Tensor scores = floats("y", {1, 2}, {NAN, 1});
  auto classes = classify(scores, 9, true);
  EXPECT_THAT(classes->shape, ElementsAre(1, 2));
  EXPECT_THAT(classes->strings, ElementsAre("1:1", "nan:0"));
  auto none = classify(floats("y", {0, 2}, {}), 3, true);
  EXPECT_THAT(none->shape, ElementsAre(0, 0));
  EXPECT_THAT(none->strings, IsEmpty());
}

TEST(Classify, PassesOverAnyNumberOfEmptyRows) {
  constexpr std::int64_t kRows = std::int64_t{1} << 40;
  auto classes = classify(floats("y", {kRows, 0}, {}), 3, true);
  ASSERT_TRUE(classes);
  EXPECT_THAT(classes->shape, ElementsAre(kRows, 0));
  EXPECT_THAT(classes->strings, IsEmpty());
}

TEST(Classify, KnowsEveryDatatypeThatHasAnOrder) {
  for (Datatype datatype :
       {Datatype::uint8, Datatype::uint16, Datatype::uint32, Datatype::uint64, Datatype::int8, Datatype::int16,
        Datatype::int32, Datatype::int64, Datatype::fp16, Datatype::fp32, Datatype::fp64, Datatype::bf16}) {
    std::size_t size = element_bytes(datatype);
    Tensor scores{.name = "y", .datatype = datatype, .shape = {3}, .bytes = Buffer(3 * size), .strings = {}};
    std::string zeros(3 * size, '\0');
    scores.bytes.copy(zeros.data());
    // A positive number in every datatype.
    scores.bytes.data()[2 * size - 1] = std::byte{0x3F};
    auto classes = classify(scores, 1, false);
    ASSERT_TRUE(classes) << to_string(datatype);
    EXPECT_THAT(classes->strings, ElementsAre(testing::EndsWith(":1"))) << to_string(datatype);
  }
  for (Datatype datatype : {Datatype::boolean, Datatype::bytes}) {
    Tensor scores{.name = "y", .datatype = datatype, .shape = {1}, .bytes = {}, .strings = {}};
    EXPECT_THAT(classify(scores, 1, false).error().detail, HasSubstr("leave out 'classification'"));
  }
}

}  // namespace
}  // namespace penstock::infer
