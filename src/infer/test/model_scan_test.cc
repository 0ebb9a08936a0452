#include "infer/model_scan.h"

#include <gmock/gmock.h>

#include <filesystem>
#include <protozero/pbf_writer.hpp>

#include "artifact/files.h"

namespace penstock::infer {
namespace {

using protozero::pbf_writer;
using testing::HasSubstr;

// Field numbers of onnx.proto.
constexpr std::uint32_t kModelIr = 1, kModelGraph = 7, kModelOpset = 8, kModelFunction = 25;
constexpr std::uint32_t kGraphNode = 1, kGraphInitializer = 5, kGraphInput = 11;
constexpr std::uint32_t kNodeInput = 1, kNodeOutput = 2, kNodeName = 3, kNodeOperator = 4, kNodeAttribute = 5,
                        kNodeDomain = 7;
constexpr std::uint32_t kAttributeTensor = 5, kAttributeGraph = 6;
constexpr std::uint32_t kTensorDims = 1, kTensorType = 2, kTensorFloats = 4, kTensorName = 8, kTensorRaw = 9,
                        kTensorExternal = 13, kTensorLocation = 14;

struct TensorText {
  std::vector<std::int64_t> dims;
  int type = 1;
  std::string raw = {};
  std::vector<std::pair<std::string, std::string>> external = {};
  std::string name = "w";
};

std::string tensor(const TensorText& given) {
  std::string out;
  pbf_writer message(out);
  for (std::int64_t dim : given.dims) message.add_int64(kTensorDims, dim);
  message.add_int32(kTensorType, given.type);
  message.add_string(kTensorName, given.name);
  if (!given.raw.empty()) message.add_bytes(kTensorRaw, given.raw);
  for (const auto& [key, value] : given.external) {
    std::string entry;
    pbf_writer pair(entry);
    pair.add_string(1, key);
    pair.add_string(2, value);
    message.add_message(kTensorExternal, entry);
  }
  if (!given.external.empty()) message.add_int32(kTensorLocation, 1);
  return out;
}

std::string node(const std::string& operation, const std::string& domain = "", const std::string& attribute = "",
                 const std::vector<std::string>& inputs = {}) {
  std::string out;
  pbf_writer message(out);
  for (const std::string& input : inputs) message.add_string(kNodeInput, input);
  message.add_string(kNodeOutput, operation == "Constant" ? "shape" : "y");
  message.add_string(kNodeName, "the node");
  message.add_string(kNodeOperator, operation);
  if (!domain.empty()) message.add_string(kNodeDomain, domain);
  if (!attribute.empty()) message.add_message(kNodeAttribute, attribute);
  return out;
}

std::string graph(const std::vector<std::string>& nodes, const std::vector<std::string>& tensors = {}) {
  std::string out;
  pbf_writer message(out);
  for (const std::string& one : nodes) message.add_message(kGraphNode, one);
  for (const std::string& one : tensors) message.add_message(kGraphInitializer, one);
  return out;
}

std::string model(const std::string& of, const std::string& function = "") {
  std::string out;
  pbf_writer message(out);
  message.add_int64(kModelIr, 8);
  std::string opset;
  pbf_writer(opset).add_int64(2, 17);
  message.add_message(kModelOpset, opset);
  message.add_message(kModelGraph, of);
  if (!function.empty()) message.add_message(kModelFunction, function);
  return out;
}

std::string with_tensor(const TensorText& given) { return model(graph({}, {tensor(given)})); }

std::string why(const std::string& bytes, const ScanLimits& limits = {}) {
  auto outline = scan_model(bytes, limits);
  return outline ? "it was taken" : outline.error().detail;
}

TEST(ModelScan, KnowsRealModels) {
  std::size_t count = 0;
  for (const auto& entry :
       std::filesystem::recursive_directory_iterator(std::string(PENSTOCK_SOURCE_DIR) + "/tests/models")) {
    if (entry.path().extension() != ".onnx") continue;
    auto bytes = artifact::read_file(entry.path(), 1 << 24);
    ASSERT_TRUE(bytes);
    auto outline = scan_model(*bytes);
    ASSERT_TRUE(outline) << entry.path() << ": " << outline.error().detail;
    EXPECT_GT(outline->ir_version, 0);
    EXPECT_GT(outline->nodes, 0U);
    EXPECT_FALSE(outline->operator_sets.empty());
    ++count;
  }
  EXPECT_GE(count, 4U);
}

TEST(ModelScan, EveryCutIsSafe) {
  auto bytes = artifact::read_file(std::string(PENSTOCK_SOURCE_DIR) + "/tests/models/scale/1/model.onnx", 1 << 20);
  ASSERT_TRUE(bytes);
  std::size_t refused = 0;
  for (std::size_t size = 0; size < bytes->size(); ++size) refused += scan_model(bytes->substr(0, size)) ? 0 : 1;
  // What ends between two fields of the model is a model.
  EXPECT_GT(refused, bytes->size() * 9 / 10);
}

TEST(ModelScan, WhatIsNoModelIsSaid) {
  EXPECT_THAT(why(""), HasSubstr("empty"));
  EXPECT_THAT(why("PK\x03\x04 something else entirely"), HasSubstr("no ONNX file"));
  EXPECT_THAT(why(std::string(64, '\0')), HasSubstr("no ONNX file"));
  std::string no_graph;
  pbf_writer(no_graph).add_int64(kModelIr, 8);
  EXPECT_THAT(why(no_graph), HasSubstr("no graph"));
  EXPECT_THAT(why(model(graph({})) + model(graph({}))), HasSubstr("given twice"));
}

TEST(ModelScan, TensorsHaveTheirBytes) {
  EXPECT_TRUE(scan_model(with_tensor({.dims = {2, 2}, .raw = std::string(16, 'x')})));
  EXPECT_TRUE(scan_model(with_tensor({.dims = {3}, .type = 22, .raw = std::string(2, 'x')}))) << "two INT4 in a byte";
  EXPECT_TRUE(scan_model(with_tensor({.dims = {0, 7}})));
  EXPECT_THAT(why(with_tensor({.dims = {2, 2}, .raw = std::string(15, 'x')})), HasSubstr("fewer values"));
  EXPECT_THAT(why(with_tensor({.dims = {1 << 15, 1 << 16}, .raw = "xxxx"})), HasSubstr("fewer values"));
  EXPECT_THAT(why(with_tensor({.dims = {INT64_MAX, 4}})), HasSubstr("overflow"));
  EXPECT_THAT(why(with_tensor({.dims = {INT64_MAX}})), HasSubstr("too large"));
  EXPECT_THAT(why(with_tensor({.dims = {-1}})), HasSubstr("negative"));
  EXPECT_THAT(why(with_tensor({.dims = std::vector<std::int64_t>(40, 1)})), HasSubstr("dimensions"));
  EXPECT_THAT(why(with_tensor({.dims = {5}, .type = 8})), HasSubstr("fewer values")) << "strings";
  std::string floats;
  pbf_writer message(floats);
  message.add_int64(kTensorDims, 3);
  message.add_int32(kTensorType, 1);
  std::vector<float> values{1, 2, 3};
  message.add_packed_float(kTensorFloats, values.begin(), values.end());
  EXPECT_TRUE(scan_model(model(graph({}, {floats}))));
}

TEST(ModelScan, WeightsStandInTheFolder) {
  auto outline =
      scan_model(with_tensor({.dims = {4}, .external = {{"location", "w.bin"}, {"offset", "8"}, {"length", "16"}}}));
  ASSERT_TRUE(outline) << outline.error().detail;
  ASSERT_EQ(outline->external.size(), 1U);
  EXPECT_EQ(outline->external[0].location, "w.bin");
  EXPECT_EQ(outline->external[0].offset, 8U);
  for (const char* location : {"/etc/shadow", "../w.bin", "a/../../w.bin", "", "./w.bin", "a//b"}) {
    auto refused = scan_model(with_tensor({.dims = {4}, .external = {{"location", location}}}));
    ASSERT_FALSE(refused) << location;
    EXPECT_EQ(refused.error().code, Errc::permission_denied);
  }
  EXPECT_FALSE(scan_model(with_tensor({.dims = {4}, .external = {{"location", "w"}, {"offset", "-8"}}})));
  EXPECT_FALSE(
      scan_model(with_tensor({.dims = {4}, .external = {{"location", "w"}, {"length", "9999999999999999999999"}}})));
  EXPECT_THAT(why(with_tensor({.dims = {4}, .external = {{"location", "w"}, {"length", "15"}}})),
              HasSubstr("larger than its part"));
}

TEST(ModelScan, GraphsInGraphsEnd) {
  std::string inner = graph({node("Relu")});
  for (int depth = 0; depth < 40; ++depth) {
    std::string attribute;
    pbf_writer(attribute).add_message(kAttributeGraph, inner);
    inner = graph({node("If", "", attribute)});
  }
  EXPECT_THAT(why(model(inner)), HasSubstr("more than 32 deep"));
  std::string type;
  for (int depth = 0; depth < 40; ++depth) {
    std::string sequence;
    pbf_writer(sequence).add_message(1, type);
    type.clear();
    pbf_writer(type).add_message(4, sequence);
  }
  std::string value;
  pbf_writer(value).add_message(2, type);
  std::string with_input;
  pbf_writer(with_input).add_message(kGraphInput, value);
  EXPECT_THAT(why(model(with_input)), HasSubstr("more than 32 deep"));
}

TEST(ModelScan, CountsAreBounded) {
  ScanLimits limits;
  limits.nodes_max = 3;
  EXPECT_TRUE(scan_model(model(graph({node("Relu"), node("Relu"), node("Relu")})), limits));
  EXPECT_THAT(why(model(graph(std::vector<std::string>(4, node("Relu")))), limits), HasSubstr("more than 3 nodes"));
  limits.tensors_max = 1;
  EXPECT_THAT(why(model(graph({}, {tensor({.dims = {0}}), tensor({.dims = {0}})})), limits),
              HasSubstr("more than 1 tensors"));
}

TEST(ModelScan, InputsAndOutputsAreBounded) {
  constexpr std::uint32_t kGraphOutput = 12;
  ScanLimits limits;
  limits.ends_max = 2;
  auto with = [&](std::uint32_t field, std::size_t count, const std::vector<std::string>& tensors = {}) {
    std::string of = graph({node("Relu")}, tensors);
    pbf_writer message(of);
    for (std::size_t i = 0; i < count; ++i) {
      std::string value;
      pbf_writer(value).add_string(1, "x" + std::to_string(i));
      message.add_message(field, value);
    }
    return why(model(of), limits);
  };
  EXPECT_EQ(with(kGraphInput, 2), "it was taken");
  EXPECT_THAT(with(kGraphInput, 3), HasSubstr("more than 2 inputs"));
  EXPECT_EQ(with(kGraphInput, 3, {tensor({.dims = {0}, .name = "x1"})}), "it was taken") << "a weight, as old files do";
  EXPECT_EQ(with(kGraphOutput, 2), "it was taken");
  EXPECT_THAT(with(kGraphOutput, 3), HasSubstr("more than 2 outputs"));
}

TEST(ModelScan, OperatorsNobodyHasAreNamed) {
  EXPECT_TRUE(scan_model(model(graph({node("Gelu", "com.microsoft")}))));
  auto refused = scan_model(model(graph({node("Wobble", "com.acme")})));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::unimplemented);
  EXPECT_THAT(refused.error().detail, HasSubstr("'Wobble' of the domain 'com.acme' (node 'the node')"));
  std::string function;
  pbf_writer message(function);
  message.add_string(1, "Wobble");
  message.add_message(7, node("Relu"));
  message.add_string(10, "com.acme");
  EXPECT_TRUE(scan_model(model(graph({node("Wobble", "com.acme")}), function))) << "the model brings it along";
}

TEST(ModelScan, FewBytesDoNotBecomeGigabytes) {
  auto shape = [](std::vector<std::int64_t> dims) {
    std::string raw(dims.size() * 8, '\0');
    std::memcpy(raw.data(), dims.data(), raw.size());
    return tensor({.dims = {static_cast<std::int64_t>(dims.size())}, .type = 7, .raw = raw, .name = "shape"});
  };
  EXPECT_TRUE(scan_model(model(graph({node("ConstantOfShape", "", "", {"shape"})}, {shape({64, 64})}))));
  EXPECT_THAT(why(model(graph({node("ConstantOfShape", "", "", {"shape"})}, {shape({1 << 20, 1 << 20})}))),
              HasSubstr("ConstantOfShape makes"));
  EXPECT_THAT(why(model(graph({node("Expand", "", "", {"x", "shape"})}, {shape({INT64_MAX, INT64_MAX})}))),
              HasSubstr("Expand makes"));
  std::string attribute;
  pbf_writer(attribute).add_message(kAttributeTensor, shape({1 << 20, 1 << 20}));
  EXPECT_THAT(why(model(graph({node("Constant", "", attribute), node("ConstantOfShape", "", "", {"shape"})}))),
              HasSubstr("ConstantOfShape makes"));
  std::string twice;
  pbf_writer message(twice);
  message.add_message(kAttributeTensor, shape({4}));
  message.add_message(kAttributeTensor, shape({4}));
  EXPECT_THAT(why(model(graph({node("Constant", "", twice)}))), HasSubstr("given twice"));
}

TEST(ModelScan, NamesInMessagesAreShortAndPlain) {
  std::string name = "evil\n\x1b[31m" + std::string(500, 'a');
  std::string said = why(with_tensor({.dims = {-1}, .name = name}));
  EXPECT_LT(said.size(), 200U);
  EXPECT_THAT(said, testing::Not(HasSubstr("\n")));
}

}  // namespace
}  // namespace penstock::infer
