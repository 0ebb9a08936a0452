#include "infer/text_model.h"

#include <gmock/gmock.h>

namespace penstock::infer {
namespace {

using testing::ElementsAre;
using testing::FloatNear;
using testing::HasSubstr;
using Pooling = EmbedConfig::Pooling;

// Declares what a test says; is never run.
class DeclaredModel : public Model {
 public:
  explicit DeclaredModel(ModelInfo info) : info_(std::move(info)) {}
  const ModelInfo& info() const override { return info_; }
  Result<std::vector<Tensor>> run(std::span<const Tensor>, std::span<const std::size_t>,
                                  const RunOptions&) const override {
    return fail(Errc::internal, "not for running");
  }

 private:
  ModelInfo info_;
};

ModelInfo bert() {
  return {.inputs = {{"input_ids", Datatype::int64, {-1, -1}},
                     {"attention_mask", Datatype::int64, {-1, -1}},
                     {"token_type_ids", Datatype::int32, {-1, -1}}},
          .outputs = {{"hidden", Datatype::fp32, {-1, -1, 2}}}};
}

Result<std::shared_ptr<const TextModel>> open(EmbedConfig embed, ModelInfo info = bert()) {
  if (embed.tokenizer.empty()) embed.tokenizer = PENSTOCK_SOURCE_DIR "/tests/models/tokenizers/bert.json";
  auto config = std::make_shared<ModelConfig>();
  config->name = "m";
  config->embed = std::move(embed);
  Served served(config, 1, std::make_shared<DeclaredModel>(std::move(info)), 0);
  return TextModel::open(served);
}

Tensor tensor(std::vector<std::int64_t> shape, const std::vector<float>& values) {
  Tensor made{
      .name = "hidden", .shape = std::move(shape), .bytes = Buffer(values.size() * sizeof(float)), .strings = {}};
  made.bytes.copy(values.data());
  return made;
}

// Two rows of three and two tokens; the last of the second is fill-up.
std::vector<std::vector<float>> pool(Pooling pooling, bool normalize, std::size_t dimensions = 0) {
  EmbedConfig config;
  config.pooling = pooling;
  config.normalize = normalize;
  auto model = open(config).value();
  TokenRow first{.ids = {1, 2, 3}}, second{.ids = {4, 5}};
  std::array<const TokenRow*, 2> rows{&first, &second};
  return model->pool(tensor({2, 3, 2}, {3, 4, 6, 8, 0, 0, 1, 2, 3, -4, 99, 99}), rows, dimensions).value();
}

TEST(TextModel, PoolsOnlyWhatIsNotFillUp) {
  EXPECT_THAT(pool(Pooling::mean, false), ElementsAre(ElementsAre(3, 4), ElementsAre(2, -1)));
  EXPECT_THAT(pool(Pooling::max, false), ElementsAre(ElementsAre(6, 8), ElementsAre(3, 2)));
  EXPECT_THAT(pool(Pooling::cls, false), ElementsAre(ElementsAre(3, 4), ElementsAre(1, 2)));
  EXPECT_THAT(pool(Pooling::last, false), ElementsAre(ElementsAre(0, 0), ElementsAre(3, -4)));
}

TEST(TextModel, NormalizesWhatIsLeftOfAVector) {
  auto whole = pool(Pooling::mean, true);
  EXPECT_THAT(whole[0], ElementsAre(FloatNear(0.6F, 1e-6F), FloatNear(0.8F, 1e-6F)));
  EXPECT_THAT(pool(Pooling::mean, true, 1), ElementsAre(ElementsAre(1), ElementsAre(1)));
}

TEST(TextModel, RefusesMoreDimensionsThanThereAre) {
  auto model = open({}).value();
  TokenRow row{.ids = {1}};
  std::array<const TokenRow*, 1> rows{&row};
  auto made = model->pool(tensor({1, 1, 2}, {1, 2}), rows, 3);
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, Errc::invalid_argument);
}

TEST(TextModel, RefusesNumbersThatAreNone) {
  auto model = open({}).value();
  TokenRow row{.ids = {1}};
  std::array<const TokenRow*, 1> rows{&row};
  EXPECT_FALSE(model->pool(tensor({1, 1, 2}, {1, std::numeric_limits<float>::quiet_NaN()}), rows, 0));
  EXPECT_FALSE(model->pool(tensor({1, 0, 2}, {}), rows, 0));
  EXPECT_FALSE(model->pool(tensor({1, 2, 2}, {1, 2}), rows, 0));
}

TEST(TextModel, FillsUpToTheLongest) {
  auto model = open({}).value();
  TokenRow first{.ids = {7, 8, 9}}, second{.ids = {5}};
  std::array<const TokenRow*, 2> rows{&first, &second};
  auto inputs = model->inputs(rows);
  ASSERT_EQ(inputs.size(), 3);
  EXPECT_THAT(inputs[0].shape, ElementsAre(2, 3));
  EXPECT_THAT(inputs[0].values<std::int64_t>(), ElementsAre(7, 8, 9, 5, 0, 0));
  EXPECT_THAT(inputs[1].values<std::int64_t>(), ElementsAre(1, 1, 1, 1, 0, 0));
  EXPECT_THAT(inputs[2].values<std::int32_t>(), ElementsAre(0, 0, 0, 0, 0, 0));
}

TEST(TextModel, FillsUpFixedShapes) {
  ModelInfo info = bert();
  for (TensorSpec& spec : info.inputs) spec.shape = {2, 4};
  auto model = open({}, info).value();
  TokenRow row{.ids = {7}};
  std::array<const TokenRow*, 1> rows{&row};
  auto inputs = model->inputs(rows);
  EXPECT_THAT(inputs[0].values<std::int64_t>(), ElementsAre(7, 0, 0, 0, 0, 0, 0, 0));
  EXPECT_THAT(inputs[1].values<std::int64_t>(), ElementsAre(1, 0, 0, 0, 1, 0, 0, 0));
  EXPECT_EQ(model->rows_max(1), 2);
  EXPECT_FALSE(model->read("one two three four five", "it"));
}

TEST(TextModel, SaysHowManyTokensAreTooMany) {
  EmbedConfig config;
  config.max_tokens = 5;
  auto row = open(config).value()->read("a b c d e f", "input[3]");
  ASSERT_FALSE(row);
  EXPECT_THAT(row.error().detail, HasSubstr("input[3] has 8 tokens"));
  config.truncate = true;
  auto cut = open(config).value()->read("a b c d e f", "it");
  ASSERT_TRUE(cut);
  EXPECT_EQ(cut->ids.size(), 5);
  EXPECT_EQ(cut->ids.back(), 3);  // [SEP] stays
}

TEST(TextModel, SaysWhatDoesNotFit) {
  ModelInfo other = bert();
  other.inputs.push_back({"pixel_values", Datatype::fp32, {-1, 3, 8, 8}});
  EXPECT_THAT(open({}, other).error().detail, HasSubstr("pixel_values"));
  ModelInfo none = bert();
  none.inputs.erase(none.inputs.begin());
  EXPECT_THAT(open({}, none).error().detail, HasSubstr("no input 'input_ids'"));
  ModelInfo large = bert();
  for (TensorSpec& spec : large.inputs) spec.shape = {(std::int64_t{1} << 58) + 1, 64};
  EXPECT_THAT(open({}, large).error().detail, HasSubstr("go into one run"));
  for (TensorSpec& spec : large.inputs) spec.shape = {-1, std::int64_t{1} << 61};
  EXPECT_THAT(open({}, large).error().detail, HasSubstr("go into one run"));
  EmbedConfig pooled;
  pooled.pooling = Pooling::none;
  EXPECT_THAT(open(pooled).error().detail, HasSubstr("with 2 dimensions"));
  EmbedConfig named;
  named.output = "other";
  EXPECT_THAT(open(named).error().detail, HasSubstr("the output 'other'"));
  EmbedConfig missing;
  missing.tokenizer = "/nowhere/tokenizer.json";
  EXPECT_EQ(open(missing).error().code, Errc::not_found);
  EmbedConfig tight;
  tight.max_tokens = 2;
  EXPECT_THAT(open(tight).error().detail, HasSubstr("no room"));
}

}  // namespace
}  // namespace penstock::infer
