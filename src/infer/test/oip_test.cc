#include "infer/oip.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>

#include "infer/oip_parameters.h"
#include "infer/test/fake_runtime.h"
#include "json/value.h"

namespace penstock::infer::oip {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

InferCall parsed(std::string_view body, std::optional<std::size_t> header = std::nullopt) {
  auto call = parse_infer(body, {.json_bytes = header});
  EXPECT_TRUE(call.has_value()) << call.error().detail;
  return call ? std::move(*call) : InferCall();
}

// Why it is refused; empty when it is not.
std::string refusal(std::string_view body, std::optional<std::size_t> header = std::nullopt) {
  auto call = parse_infer(body, {.json_bytes = header});
  if (!call) EXPECT_EQ(call.error().code, Errc::invalid_argument);
  return call ? std::string() : call.error().detail;
}

std::string one_input(std::string_view datatype, std::string_view shape, std::string_view data) {
  return fmt::format(R"({{"inputs":[{{"name":"x","datatype":"{}","shape":{},"data":{}}}]}})", datatype, shape, data);
}

TEST(ParseInfer, ReadsARequest) {
  InferCall call = parsed(
      R"({"id":"a\"1","parameters":{"any":{"thing":[1]},"timeout":2500,"binary_data_output":true},)"
      R"("inputs":[{"name":"x","shape":[2,2],"datatype":"FP32","parameters":{"k":1},"data":[1,2.5,-3e2,0]}],)"
      R"("outputs":[{"name":"y","parameters":{"binary_data":false,"classification":3}},{"name":"z"}],"extra":null})");
  EXPECT_EQ(call.id, "a\"1");
  EXPECT_EQ(call.request.timeout, std::chrono::microseconds(2500));
  EXPECT_THAT(call.classes, ElementsAre(3, 0));
  EXPECT_THAT(call.request.outputs, ElementsAre("y", "z"));
  EXPECT_THAT(call.binary, ElementsAre(false, true));
  const Tensor& x = call.request.inputs.at(0);
  EXPECT_EQ(x.name, "x");
  EXPECT_THAT(x.shape, ElementsAre(2, 2));
  EXPECT_THAT(x.values<float>(), ElementsAre(1, 2.5F, -300, 0));
}

TEST(ParseInfer, TakesNestedAndFlatDataInAnyMemberOrder) {
  for (const char* data : {"[1,2,3,4,5,6]", "[[[1,2,3]],[[4,5,6]]]", " [ [ [1,2,3] ] , [ [4,5,6] ] ] "}) {
    auto first = parsed(one_input("INT64", "[2,1,3]", data));
    EXPECT_THAT(first.request.inputs.at(0).values<std::int64_t>(), ElementsAre(1, 2, 3, 4, 5, 6));
    auto last =
        parsed(fmt::format(R"({{"inputs":[{{"data":{},"shape":[2,1,3],"name":"x","datatype":"INT64"}}]}})", data));
    EXPECT_THAT(last.request.inputs.at(0).values<std::int64_t>(), ElementsAre(1, 2, 3, 4, 5, 6));
  }
  EXPECT_THAT(parsed(one_input("UINT8", "[]", "[7]")).request.inputs.at(0).values<std::uint8_t>(), ElementsAre(7));
  EXPECT_EQ(parsed(one_input("FP32", "[0,3]", "[]")).request.inputs.at(0).elements(), 0U);
  EXPECT_EQ(parsed(one_input("FP32", "[2,0]", "[[],[]]")).request.inputs.at(0).elements(), 0U);
}

TEST(ParseInfer, ReadsEveryDatatype) {
  EXPECT_THAT(parsed(one_input("BOOL", "[2]", "[true,false]")).request.inputs[0].values<bool>(),
              ElementsAre(true, false));
  EXPECT_THAT(parsed(one_input("UINT64", "[1]", "[18446744073709551615]")).request.inputs[0].values<std::uint64_t>(),
              ElementsAre(UINT64_MAX));
  EXPECT_THAT(parsed(one_input("INT64", "[1]", "[-9007199254740993]")).request.inputs[0].values<std::int64_t>(),
              ElementsAre(-9007199254740993));
  EXPECT_THAT(parsed(one_input("INT8", "[2]", "[-128,127]")).request.inputs[0].values<std::int8_t>(),
              ElementsAre(-128, 127));
  EXPECT_THAT(parsed(one_input("UINT16", "[1]", "[65535]")).request.inputs[0].values<std::uint16_t>(),
              ElementsAre(65535));
  EXPECT_THAT(parsed(one_input("FP64", "[1]", "[0.1]")).request.inputs[0].values<double>(), ElementsAre(0.1));
  EXPECT_THAT(parsed(one_input("FP16", "[2]", "[1,-0.5]")).request.inputs[0].values<std::uint16_t>(),
              ElementsAre(0x3C00, 0xB800));
  EXPECT_THAT(parsed(one_input("BF16", "[1]", "[1]")).request.inputs[0].values<std::uint16_t>(), ElementsAre(0x3F80));
  EXPECT_THAT(parsed(one_input("BYTES", "[1,2]", R"([["\u00e9",""]])")).request.inputs[0].strings,
              ElementsAre("\xC3\xA9", ""));
}

TEST(ParseInfer, RefusesWhatDoesNotFit) {
  EXPECT_THAT(refusal(one_input("FP32", "[3]", "[1,2]")), HasSubstr("inputs[0] 'x'"));
  EXPECT_THAT(refusal(one_input("FP32", "[3]", "[1,2]")), HasSubstr("2 elements in the array, expected 3"));
  EXPECT_THAT(refusal(one_input("FP32", "[1]", "[1,2]")), HasSubstr("more than 1 elements"));
  EXPECT_THAT(refusal(one_input("FP32", "[2,2]", "[[1,2],[3]]")), HasSubstr("1 elements in the array, expected 2"));
  EXPECT_THAT(refusal(one_input("FP32", "[2,2]", "[[1,2]]")), HasSubstr("dimension 0 has 1 entries, the shape says 2"));
  EXPECT_THAT(refusal(one_input("FP32", "[1,2]", "[[1,2],[3,4]]")), HasSubstr("dimension 0 has more than 1 entries"));
  EXPECT_THAT(refusal(one_input("FP32", "[2,2]", "[[1,2],3,4]")), HasSubstr("expected an array"));
  EXPECT_THAT(refusal(one_input("FP32", "[2]", "[[1],[2]]")), HasSubstr("expected a number"));
  EXPECT_THAT(refusal(one_input("INT8", "[1]", "[128]")), HasSubstr("whole number from -128 to 127, found '128'"));
  EXPECT_THAT(refusal(one_input("INT32", "[1]", "[1.5]")), HasSubstr("found '1.5'"));
  EXPECT_THAT(refusal(one_input("UINT8", "[1]", "[\"1\"]")), HasSubstr("whole number"));
  EXPECT_THAT(refusal(one_input("FP32", "[1]", "[1e39]")), HasSubstr("32-bit float"));
  EXPECT_THAT(refusal(one_input("FP64", "[1]", "[1e400]")), HasSubstr("64-bit float"));
  EXPECT_THAT(refusal(one_input("FP16", "[1]", "[65520]")), HasSubstr("out of the range of FP16"));
  EXPECT_THAT(refusal(one_input("FP32", "[1]", "[NaN]")), HasSubstr("expected a value"));
  EXPECT_THAT(refusal(one_input("BOOL", "[1]", "[1]")), HasSubstr("expected true or false"));
  EXPECT_THAT(refusal(one_input("BYTES", "[1]", "[1]")), HasSubstr("expected a string"));
  EXPECT_THAT(refusal(one_input("FP32", "[1]", "1")), HasSubstr("expected an array"));
  EXPECT_THAT(refusal(one_input("FLOAT", "[1]", "[1]")), HasSubstr("unknown datatype 'FLOAT'"));
  EXPECT_THAT(refusal(one_input("FP32", "[-1]", "[1]")), HasSubstr("negative"));
  EXPECT_THAT(refusal(one_input("FP32", "[1.5]", "[1]")), HasSubstr("whole number"));
  EXPECT_THAT(refusal(one_input("FP32", "[4294967296,4294967296]", "[1]")), HasSubstr("too many elements"));
  EXPECT_THAT(refusal(one_input("FP32", "[1000000000000]", "[1]")), HasSubstr("more than the request holds"));
}

TEST(ParseInfer, RefusesWhatIsNoRequest) {
  EXPECT_THAT(refusal(""), HasSubstr("empty"));
  for (const char* body : {"[]", "null", "{", "{}x", "\"inputs\""}) EXPECT_NE(refusal(body), "") << body;
  EXPECT_THAT(refusal("{}"), HasSubstr("'inputs' is missing"));
  EXPECT_THAT(refusal(R"({"inputs":{}})"), HasSubstr("expected an array"));
  EXPECT_THAT(refusal(R"({"inputs":[],"inputs":[]})"), HasSubstr("appears twice"));
  EXPECT_THAT(refusal(R"({"id":5,"inputs":[]})"), HasSubstr("expected a string"));
  EXPECT_THAT(refusal(R"({"inputs":[{"name":"x","shape":[1],"datatype":"FP32"}]})"), HasSubstr("'data' is missing"));
  EXPECT_THAT(refusal(R"({"inputs":[{"shape":[1],"datatype":"FP32","data":[1]}]})"), HasSubstr("'name' is missing"));
  EXPECT_THAT(refusal(R"({"inputs":[{"name":"x","datatype":"FP32","data":[1]}]})"), HasSubstr("'shape' is missing"));
  EXPECT_THAT(refusal(R"({"inputs":[{"name":"x","shape":[1],"data":[1]}]})"), HasSubstr("'datatype' is missing"));
  EXPECT_THAT(refusal(R"({"inputs":[],"outputs":[{}]})"), HasSubstr("no 'name'"));
  // Unknown members are passed over, but they are still read.
  EXPECT_THAT(refusal(R"({"inputs":[],"x":[1 2]})"), HasSubstr("expected ',' or ']'"));
  EXPECT_THAT(refusal(R"({"inputs":[],"x":"\q"})"), HasSubstr("unknown escape"));
}

TEST(ParseInfer, RefusesWhatThePublicJsonSuiteRefuses) {
  const char* shared = std::getenv("PENSTOCK_SHARED");
  std::filesystem::path folder = shared != nullptr ? shared : PENSTOCK_SOURCE_DIR "/../shared";
  folder /= "data/json_suite/test_parsing";
  if (!std::filesystem::is_directory(folder)) GTEST_SKIP() << "no JSONTestSuite at " << folder;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    std::ifstream file(entry.path(), std::ios::binary);
    std::string text{std::istreambuf_iterator<char>(file), {}};
    std::string name = entry.path().filename().string();
    if (!name.starts_with("n_")) continue;
    EXPECT_FALSE(parse_infer(text)) << name;
    // Inside a member nobody asked for, unless the text breaks out of it.
    if (text.find_first_of("]}") == std::string::npos)
      EXPECT_FALSE(parse_infer(R"({"inputs":[],"x":)" + text + "}")) << name;
  }
}

std::string raw(std::initializer_list<float> values) {
  return {reinterpret_cast<const char*>(values.begin()), values.size() * sizeof(float)};
}

TEST(BinaryTensors, AreTakenInOrder) {
  std::string json = R"({"inputs":[{"name":"a","shape":[2],"datatype":"FP32","parameters":{"binary_data_size":8}},)"
                     R"({"name":"b","shape":[1],"datatype":"INT32","data":[5]},)"
                     R"({"name":"c","shape":[2],"datatype":"BYTES","parameters":{"binary_data_size":11}}]})";
  std::string body = json + raw({1.5F, -2}) + std::string("\3\0\0\0abc\0\0\0\0", 11);
  InferCall call = parsed(body, json.size());
  EXPECT_THAT(call.request.inputs.at(0).values<float>(), ElementsAre(1.5F, -2));
  EXPECT_THAT(call.request.inputs.at(1).values<std::int32_t>(), ElementsAre(5));
  EXPECT_THAT(call.request.inputs.at(2).strings, ElementsAre("abc", ""));
}

TEST(BinaryTensors, RefuseEverySizeThatDoesNotAddUp) {
  auto header = [](std::string_view datatype, std::string_view shape, std::uint64_t size) {
    return fmt::format(
        R"({{"inputs":[{{"name":"a","shape":{},"datatype":"{}","parameters":{{"binary_data_size":{}}}}}]}})", shape,
        datatype, size);
  };
  auto why = [&](std::string json, std::string_view tail) { return refusal(json + std::string(tail), json.size()); };
  EXPECT_EQ(why(header("FP32", "[2]", 8), raw({1, 2})), "");
  EXPECT_THAT(why(header("FP32", "[2]", 8), raw({1})), HasSubstr("only 4 bytes are left"));
  EXPECT_THAT(why(header("FP32", "[2]", 8), raw({1, 2, 3})), HasSubstr("4 raw bytes belong to no input"));
  EXPECT_THAT(why(header("FP32", "[3]", 8), raw({1, 2})), HasSubstr("takes 3 elements of 4 bytes, got 8 raw bytes"));
  EXPECT_THAT(why(header("FP32", "[2]", 18446744073709551615ULL), raw({1, 2})), HasSubstr("only 8 bytes are left"));
  EXPECT_THAT(why(header("FP32", "[4611686018427387904]", 0), ""), HasSubstr("takes"));
  EXPECT_THAT(why(header("BYTES", "[1]", 7), std::string_view("\4\0\0\0abc", 7)), HasSubstr("BYTES"));
  EXPECT_THAT(why(header("BYTES", "[2]", 7), std::string_view("\3\0\0\0abc", 7)), HasSubstr("BYTES"));
  EXPECT_THAT(why(header("BYTES", "[1]", 3), std::string_view("\0\0\0", 3)), HasSubstr("BYTES"));
  EXPECT_THAT(refusal("{}", 3), HasSubstr("the body has 2 bytes"));
  EXPECT_THAT(refusal("{}", 0), HasSubstr("is 0"));
  EXPECT_THAT(refusal(header("FP32", "[2]", 8)), HasSubstr("only 0 bytes are left"));
}

// Four bytes of a request become a string.
TEST(BinaryTensors, CountStringsThatAreEmpty) {
  constexpr std::size_t kCount = kTensorBytesMax / sizeof(std::string) + 1;
  std::string json = fmt::format(
      R"({{"inputs":[{{"name":"a","shape":[{}],"datatype":"BYTES","parameters":{{"binary_data_size":{}}}}}]}})", kCount,
      kCount * 4);
  EXPECT_THAT(refusal(json + std::string(kCount * 4, '\0'), json.size()), HasSubstr("bytes of tensors"));
}

TEST(ParseInfer, RefusesMoreTensorsThanModelsHave) {
  auto list = [](std::size_t count, std::string_view entry) {
    std::string text(entry);
    for (std::size_t i = 1; i < count; ++i) text.append(",").append(entry);
    return text;
  };
  auto outputs = [&](std::size_t count) {
    return refusal(fmt::format(R"({{"inputs":[],"outputs":[{}]}})", list(count, R"({"name":"y"})")));
  };
  EXPECT_EQ(outputs(kTensorsMax), "");
  EXPECT_THAT(outputs(kTensorsMax + 1), HasSubstr("more than 1024 outputs"));
  auto inputs = [&](std::size_t count) {
    constexpr std::string_view kInput = R"({"name":"x","shape":[1],"datatype":"INT8","data":[1]})";
    return refusal(fmt::format(R"({{"inputs":[{}]}})", list(count, kInput)));
  };
  EXPECT_EQ(inputs(kTensorsMax), "");
  EXPECT_THAT(inputs(kTensorsMax + 1), HasSubstr("more than 1024 inputs"));
}

TEST(Parameters, SayHowTheRequestIsServed) {
  auto with = [](std::string_view parameters) { return fmt::format(R"({{"parameters":{},"inputs":[]}})", parameters); };
  InferCall call = parsed(with(R"({"priority":2,"timeout":1000000,"sequence_id":7,"sequence_start":true,)"
                               R"("sequence_end":false,"headers":{"a":["b"]},"unknown":null})"));
  EXPECT_EQ(call.request.priority, 2U);
  EXPECT_EQ(call.request.timeout, std::chrono::seconds(1));
  EXPECT_EQ(parsed(with(R"({"timeout":18446744073709551615})")).request.timeout, kTimeoutMax);
  EXPECT_EQ(parsed(with(R"({"priority":4294967296})")).request.priority, UINT32_MAX);
  EXPECT_THAT(refusal(with(R"({"priority":-1})")), HasSubstr("parameter 'priority' must be a whole number from 0 on"));
  EXPECT_THAT(refusal(with(R"({"priority":"high"})")), HasSubstr("parameter 'priority'"));
  EXPECT_THAT(refusal(with(R"({"timeout":1.5})")), HasSubstr("parameter 'timeout' must be a whole number of micro"));
  EXPECT_THAT(refusal(with(R"({"timeout":1e3})")), HasSubstr("parameter 'timeout'"));
  EXPECT_THAT(refusal(with(R"({"binary_data_output":1})")), HasSubstr("'binary_data_output' must be true or false"));
  EXPECT_THAT(refusal(with(R"([1])")), HasSubstr("expected an object"));
}

TEST(Parameters, MakeARequestStick) {
  auto sticky = [](std::string_view value) {
    std::string body = fmt::format(R"({{"inputs":[],"parameters":{{"user":{}}}}})", value);
    auto call = parse_infer(body, {.sticky = "user"});
    return call ? call->request.sticky : call.error().detail;
  };
  EXPECT_EQ(sticky(R"("anne")"), "anne");
  EXPECT_EQ(sticky("9007199254740993"), "9007199254740993");
  EXPECT_EQ(sticky("true"), "true");
  EXPECT_EQ(sticky("null"), "");
  EXPECT_EQ(parsed(R"({"inputs":[],"parameters":{"user":"x"}})").request.sticky, "");
}

TEST(Parameters, RefuseSharedMemory) {
  EXPECT_THAT(refusal(R"({"inputs":[{"name":"x","shape":[1],"datatype":"FP32",)"
                      R"("parameters":{"shared_memory_region":"r","shared_memory_byte_size":4}}]})"),
              HasSubstr("inputs[0] 'x': byte 90: parameter 'shared_memory_region': this server shares no memory"));
  EXPECT_THAT(refusal(R"({"inputs":[],"outputs":[{"name":"y","parameters":{"shared_memory_region":"r"}}]})"),
              HasSubstr("shares no memory"));
  EXPECT_THAT(refusal(R"({"inputs":[],"outputs":[{"name":"y","parameters":{"classification":-1}}]})"),
              HasSubstr("'classification' must be how many"));
}

Response answer() {
  Response response{.model = "m", .version = "3", .outputs = {}, .queue = {}, .compute = {}};
  response.outputs.push_back(floats("y", {2, 2}, {1, 0.1F, 1e20F, NAN}));
  Tensor text{.name = "t", .datatype = Datatype::bytes, .shape = {2}, .bytes = {}, .strings = {"a\"b", "\xff"}};
  response.outputs.push_back(text);
  return response;
}

TEST(EncodeInfer, WritesJson) {
  InferCall call;
  call.id = "x\n";
  Answer encoded = encode_infer(call, answer());
  EXPECT_EQ(encoded.body,
            R"({"model_name":"m","model_version":"3","id":"x\n","outputs":[)"
            R"({"name":"y","datatype":"FP32","shape":[2,2],"data":[1.0,0.1,1e+20,null]},)"
            "{\"name\":\"t\",\"datatype\":\"BYTES\",\"shape\":[2],\"data\":[\"a\\\"b\",\"\xEF\xBF\xBD\"]}]}");
  EXPECT_FALSE(encoded.header_length);
  EXPECT_TRUE(json::parse(encoded.body));
  EXPECT_THAT(encode_infer(InferCall(), answer()).body, ::testing::Not(HasSubstr("\"id\"")));
}

TEST(EncodeInfer, WritesRawTensorsWhereAsked) {
  InferCall call;
  call.binary_by_default = true;
  Answer encoded = encode_infer(call, answer());
  ASSERT_TRUE(encoded.header_length);
  auto header = json::parse(std::string_view(encoded.body).substr(0, *encoded.header_length));
  ASSERT_TRUE(header);
  EXPECT_EQ(encoded.body.size() - *encoded.header_length, 16U + (4 + 3) + (4 + 1));
  EXPECT_TRUE(encoded.body.ends_with(std::string("\3\0\0\0a\"b\1\0\0\0\xff", 12)));
  call.binary = {false, true};
  Answer mixed = encode_infer(call, answer());
  EXPECT_EQ(mixed.body.size() - *mixed.header_length, 12U);
}

TEST(EncodeInfer, WritesClassesWhereAsked) {
  Response response = answer();
  InferCall call;
  call.classes = {2, 0};
  call.binary = {false, false};
  ASSERT_TRUE(classify_outputs(call, response, true));
  EXPECT_THAT(encode_infer(call, response).body,
              HasSubstr(R"({"name":"y","datatype":"BYTES","shape":[2,2],"data":["1:0","0.1:1","1e+20:0","nan:1"]})"));
  call.classes = {0, 1};
  EXPECT_THAT(classify_outputs(call, response, true).error().detail, HasSubstr("output 't' is BYTES"));
}

TEST(EncodeInfer, WritesEveryDatatypeSoThatItReadsBack) {
  for (std::string input :
       {one_input("BOOL", "[2]", "[true,false]"), one_input("UINT64", "[1]", "[18446744073709551615]"),
        one_input("INT8", "[2]", "[-128,127]"), one_input("FP16", "[2]", "[1.0,-0.5]"),
        one_input("BF16", "[1]", "[3.0]"), one_input("FP64", "[2]", "[5e-324,0.30000000000000004]"),
        one_input("FP32", "[1]", "[1.1754944e-38]"), one_input("UINT16", "[1]", "[65535]")}) {
    InferCall call = parsed(input);
    Response response{
        .model = "m", .version = "1", .outputs = std::move(call.request.inputs), .queue = {}, .compute = {}};
    std::string body = encode_infer(InferCall(), response).body;
    std::string data = input.substr(input.find("\"data\""));
    EXPECT_THAT(body, HasSubstr(data.substr(0, data.size() - 2))) << body;
  }
}

TEST(Status, SpeaksTheProtocol) {
  EXPECT_EQ(encode_health(true), R"({"live":true,"ready":true})");
  EXPECT_EQ(encode_model_ready("m", true), R"({"name":"m","ready":true})");
  EXPECT_THAT(encode_server("1.2", false), HasSubstr(R"("name":"penstock","version":"1.2","extensions":[)"));
  EXPECT_EQ(encode_error({Errc::not_found, "no \"m\"", {}}), R"({"error":"no \"m\""})");
  ModelInfo info{.platform = "onnxruntime_onnx",
                 .inputs = {{"x", Datatype::bytes, {-1, 4}}},
                 .outputs = {{"y", Datatype::fp32, {}}}};
  std::vector<std::string> versions{"1", "2"};
  EXPECT_EQ(
      encode_model("m", versions, info),
      R"({"name":"m","versions":["1","2"],"platform":"onnxruntime_onnx","inputs":[{"name":"x","datatype":"BYTES",)"
      R"("shape":[-1,4]}],"outputs":[{"name":"y","datatype":"FP32","shape":[]}]})");
  EXPECT_EQ(encode_health(false), R"({"live":true,"ready":false})");
  EXPECT_EQ(encode_model_ready("m", false, "damaged"), R"({"name":"m","ready":false,"error":"damaged"})");
}

TEST(Status, ListsVersionsWithTheirStateAndFigures) {
  std::vector<ModelStatus> models(2);
  models[0] = {.name = "a", .path = {}, .ready = true, .versions = {VersionStatus{}, VersionStatus{}}};
  models[0].versions[0].version = "1";
  models[0].versions[0].reason = "broken";
  models[0].versions[1].version = "2";
  models[0].versions[1].ready = true;
  models[0].versions[1].state = VersionState::ready;
  models[0].versions[1].stats = StatsView{.success = {3, 30},
                                          .failure = {},
                                          .queue = {},
                                          .compute = {},
                                          .inferences = 5,
                                          .inline_runs = 0,
                                          .last_millis = 9};
  models[1].name = "b";
  models[1].versions.resize(1);
  EXPECT_EQ(
      encode_index(models, false),
      R"([{"name":"a","version":"1","state":"UNAVAILABLE","reason":"broken"},{"name":"a","version":"2","state":"READY",)"
      R"("reason":""},{"name":"b","state":"UNAVAILABLE","reason":""}])");
  EXPECT_EQ(encode_index(models, true), R"([{"name":"a","version":"2","state":"READY","reason":""}])");
  EXPECT_THAT(encode_stats(models, "a", "2"), HasSubstr(R"("inference_count":5)"));
  EXPECT_EQ(encode_stats(models, "b"), R"({"model_stats":[]})");
  models[0].versions[1].memory_bytes = 77;
  models[0].versions[1].stats->batches = {{.rows = 4, .input = {1, 2}, .compute = {1, 3}, .output = {1, 4}}};
  models[0].versions[1].stats->executions = 6;
  models[0].versions[1].stats->compute = {5, 70};
  models[0].versions[1].stats->input = {4, 8};
  std::string stats = encode_stats(models);
  EXPECT_THAT(stats, HasSubstr(R"("compute_input":{"count":5,"ns":8},"compute_infer":{"count":5,"ns":70})"));
  EXPECT_THAT(stats, HasSubstr(R"("execution_count":6)"));
  EXPECT_THAT(stats, HasSubstr(R"("batch_stats":[{"batch_size":4,"compute_input":{"count":1,"ns":2},)"
                               R"("compute_infer":{"count":1,"ns":3},"compute_output":{"count":1,"ns":4}}])"));
  EXPECT_THAT(stats, HasSubstr(R"("memory_usage":[{"type":"CPU","id":0,"byte_size":77}])"));
}

TEST(Status, MapsEveryCodeToAnHttpError) {
  for (int i = 0; i <= static_cast<int>(Errc::protocol_error); ++i) {
    int status = http_status(static_cast<Errc>(i));
    EXPECT_TRUE(status >= 400 && status < 600) << i;
  }
  EXPECT_EQ(http_status(Errc::not_found), 404);
  EXPECT_EQ(http_status(Errc::invalid_argument), 400);
  EXPECT_EQ(http_status(Errc::unavailable), 503);
  EXPECT_EQ(http_status(Errc::internal), 500);
}

}  // namespace
}  // namespace penstock::infer::oip
