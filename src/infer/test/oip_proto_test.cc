// OIP's messages over gRPC. Requests are written by protozero field by field, so that wrong ones can be, too; what real
// clients make of answers is for the black-box tests.
#include <gmock/gmock.h>

#include <protozero/pbf_reader.hpp>
#include <protozero/pbf_writer.hpp>

#include "infer/oip_proto.h"

namespace penstock::infer::oip {
namespace {

using protozero::pbf_reader;
using protozero::pbf_writer;
using testing::ElementsAre;
using testing::HasSubstr;

using Write = std::function<void(pbf_writer&)>;

// An input; `contents` writes InferTensorContents.
struct Input {
  std::string name = "x";
  std::string datatype = "FP32";
  std::vector<std::int64_t> shape = {2};
  Write contents = {};
};

std::string request(const std::vector<Input>& inputs, const std::vector<std::string>& raw = {},
                    const Write& more = {}) {
  std::string message;
  pbf_writer writer(message);
  writer.add_string(1, "m");
  for (const Input& input : inputs) {
    pbf_writer tensor(writer, 5);
    tensor.add_string(1, input.name);
    if (!input.datatype.empty()) tensor.add_string(2, input.datatype);
    tensor.add_packed_int64(3, input.shape.begin(), input.shape.end());
    if (input.contents) {
      pbf_writer contents(tensor, 5);
      input.contents(contents);
    }
  }
  for (const std::string& bytes : raw) writer.add_bytes(7, bytes);
  if (more) more(writer);
  return message;
}

void add_parameter(pbf_writer& parent, std::uint32_t field, const char* name, const Write& value) {
  pbf_writer entry(parent, field);
  entry.add_string(1, name);
  pbf_writer choice(entry, 2);
  value(choice);
}

template <class T>
std::string raw_of(std::initializer_list<T> values) {
  return {reinterpret_cast<const char*>(values.begin()), values.size() * sizeof(T)};
}

template <class T>
std::vector<T> values_of(const Tensor& tensor) {
  auto values = tensor.values<T>();
  return {values.begin(), values.end()};
}

std::string refusal(const std::string& message) {
  auto call = parse_infer_message(message);
  EXPECT_FALSE(call.has_value());
  return call ? "" : call.error().detail;
}

TEST(OipProto, ReadsRawContents) {
  std::string message =
      request({{"a", "FP32", {2}}, {"b", "BYTES", {2}}, {"c", "FP16", {1, 2}}},
              {raw_of({1.5F, -2.0F}), std::string("\1\0\0\0x\0\0\0\0", 9), raw_of<std::uint16_t>({7, 8})},
              [](pbf_writer& writer) {
                writer.add_string(2, "3");
                writer.add_string(3, "the id");
              });
  auto call = parse_infer_message(message);
  ASSERT_TRUE(call.has_value()) << call.error().detail;
  EXPECT_EQ(call->request.model, "m");
  EXPECT_EQ(call->request.version, "3");
  EXPECT_EQ(call->id, "the id");
  ASSERT_EQ(call->request.inputs.size(), 3U);
  EXPECT_THAT(values_of<float>(call->request.inputs[0]), ElementsAre(1.5F, -2.0F));
  EXPECT_THAT(call->request.inputs[1].strings, ElementsAre("x", ""));
  EXPECT_THAT(values_of<std::uint16_t>(call->request.inputs[2]), ElementsAre(7, 8));
}

TEST(OipProto, ReadsTypedContents) {
  const std::array<bool, 2> flags{true, false};
  const std::array<std::int32_t, 2> ints{-128, 127};
  const std::array<std::int64_t, 2> longs{INT64_MIN, INT64_MAX};
  const std::array<std::uint32_t, 2> naturals{0, 255};
  const std::array<std::uint64_t, 2> large{0, UINT64_MAX};
  const std::array<float, 2> floats{0.5F, -1};
  const std::array<double, 2> doubles{1e300, 0};
  auto call = parse_infer_message(request({
      {"b", "BOOL", {2}, [&](pbf_writer& w) { w.add_packed_bool(1, flags.begin(), flags.end()); }},
      {"i8", "INT8", {2}, [&](pbf_writer& w) { w.add_packed_int32(2, ints.begin(), ints.end()); }},
      {"i32", "INT32", {2}, [&](pbf_writer& w) { w.add_packed_int32(2, ints.begin(), ints.end()); }},
      {"i64", "INT64", {2}, [&](pbf_writer& w) { w.add_packed_int64(3, longs.begin(), longs.end()); }},
      {"u8", "UINT8", {2}, [&](pbf_writer& w) { w.add_packed_uint32(4, naturals.begin(), naturals.end()); }},
      {"u64", "UINT64", {2}, [&](pbf_writer& w) { w.add_packed_uint64(5, large.begin(), large.end()); }},
      {"f", "FP32", {2}, [&](pbf_writer& w) { w.add_packed_float(6, floats.begin(), floats.end()); }},
      {"d", "FP64", {2}, [&](pbf_writer& w) { w.add_packed_double(7, doubles.begin(), doubles.end()); }},
      {"s", "BYTES", {2}, [](pbf_writer& w) { w.add_bytes(8, "one"), w.add_bytes(8, "\xff"); }},
  }));
  ASSERT_TRUE(call.has_value()) << call.error().detail;
  const auto& inputs = call->request.inputs;
  EXPECT_THAT(values_of<bool>(inputs[0]), ElementsAre(true, false));
  EXPECT_THAT(values_of<std::int8_t>(inputs[1]), ElementsAre(-128, 127));
  EXPECT_THAT(values_of<std::int32_t>(inputs[2]), ElementsAre(-128, 127));
  EXPECT_THAT(values_of<std::int64_t>(inputs[3]), ElementsAre(INT64_MIN, INT64_MAX));
  EXPECT_THAT(values_of<std::uint8_t>(inputs[4]), ElementsAre(0, 255));
  EXPECT_THAT(values_of<std::uint64_t>(inputs[5]), ElementsAre(0U, UINT64_MAX));
  EXPECT_THAT(values_of<float>(inputs[6]), ElementsAre(0.5F, -1));
  EXPECT_THAT(values_of<double>(inputs[7]), ElementsAre(1e300, 0));
  EXPECT_THAT(inputs[8].strings, ElementsAre("one", "\xff"));
}

// Writers may leave repeated numbers unpacked, and cut a message's field in two.
TEST(OipProto, ReadsWhatIsNotPacked) {
  std::string message = request({}, {}, [](pbf_writer& writer) {
    pbf_writer tensor(writer, 5);
    tensor.add_string(1, "x");
    tensor.add_int64(3, 3);
    tensor.add_string(2, "FP32");
    for (float value : {1.0F, 2.0F}) {
      pbf_writer contents(tensor, 5);
      contents.add_float(6, value);
      if (value > 1) contents.add_float(6, 3);
    }
  });
  auto call = parse_infer_message(message);
  ASSERT_TRUE(call.has_value()) << call.error().detail;
  EXPECT_THAT(values_of<float>(call->request.inputs[0]), ElementsAre(1, 2, 3));
}

TEST(OipProto, ReadsParameters) {
  std::string message = request({}, {}, [](pbf_writer& writer) {
    add_parameter(writer, 4, "priority", [](pbf_writer& v) { v.add_uint64(5, 2); });
    add_parameter(writer, 4, "timeout", [](pbf_writer& v) { v.add_int64(2, 1500); });
    add_parameter(writer, 4, "user", [](pbf_writer& v) { v.add_string(3, "ann"); });
    add_parameter(writer, 4, "unknown", [](pbf_writer& v) { v.add_double(4, 0.5); });
    add_parameter(writer, 4, "empty", [](pbf_writer&) {});
    {
      pbf_writer output(writer, 6);
      output.add_string(1, "y");
      add_parameter(output, 2, "classification", [](pbf_writer& v) { v.add_int64(2, 3); });
    }
    pbf_writer output(writer, 6);
    output.add_string(1, "z");
  });
  auto call = parse_infer_message(message, "user");
  ASSERT_TRUE(call.has_value()) << call.error().detail;
  EXPECT_EQ(call->request.priority, 2U);
  EXPECT_EQ(call->request.timeout, std::chrono::microseconds(1500));
  EXPECT_EQ(call->request.sticky, "ann");
  EXPECT_THAT(call->request.outputs, ElementsAre("y", "z"));
  EXPECT_THAT(call->classes, ElementsAre(3U, 0U));
}

// An empty entry has two bytes, and becomes far more here.
TEST(OipProto, RefusesMoreEntriesThanModelsHave) {
  struct Entry {
    std::uint32_t field;
    const char* says;
  };
  for (Entry entry : {Entry{6, "more than 1024 outputs"}, Entry{7, "more than 1024 entries of raw_input_contents"}}) {
    auto with = [&](std::size_t count) {
      return refusal(request({}, {}, [&](pbf_writer& writer) {
        for (std::size_t i = 0; i < count; ++i) writer.add_bytes(entry.field, "");
      }));
    };
    EXPECT_THAT(with(kTensorsMax + 1), HasSubstr(entry.says));
  }
  EXPECT_TRUE(parse_infer_message(request({}, {}, [](pbf_writer& writer) {
    for (std::size_t i = 0; i < kTensorsMax; ++i) writer.add_bytes(6, "");
  })));
  std::vector<Input> inputs(kTensorsMax + 1, {"x", "FP32", {0}});
  EXPECT_THAT(refusal(request(inputs)), HasSubstr("more than 1024 inputs"));
  Write cut = [](pbf_writer& writer) {
    pbf_writer tensor(writer, 5);
    tensor.add_string(2, "FP32");
    for (int i = 0; i < 1000; ++i) pbf_writer(tensor, 5).add_float(6, 1);
  };
  EXPECT_THAT(refusal(request({}, {}, cut)), HasSubstr("parts"));
}

TEST(OipProto, SaysWhatIsWrong) {
  auto floats = [](std::size_t count) {
    return [count](pbf_writer& w) {
      std::vector<float> values(count);
      w.add_packed_float(6, values.begin(), values.end());
    };
  };
  const std::array<std::int32_t, 1> large{300};
  struct Wrong {
    std::string message;
    const char* says;
  };
  for (const Wrong& wrong : std::initializer_list<Wrong>{
           {request({{"x", "FP32", {2}, floats(1)}}), "elements"},
           {request({{"x", "FP32", {2}, floats(3)}}), "has more"},
           {request({{"x", "FP32", {2}}}), "elements"},
           {request({{"x", "FP32", {2}}}, {"1234567"}), "7 raw bytes"},
           {request({{"x", "FP32", {2}}}, {"12345678", "12345678"}), "raw_input_contents has 2"},
           {request({{"x", "FP32", {2}, floats(2)}}, {"12345678"}), "one of the two"},
           {request({{"x", "FP16", {2}, floats(2)}}), "raw_input_contents"},
           {request({{"x", "INT32", {2}, floats(2)}}), "not into fp32_contents"},
           {request({{"x", "INT8", {1}, [&](pbf_writer& w) { w.add_packed_int32(2, large.begin(), large.end()); }}}),
            "out of the range of INT8: 300"},
           {request({{"x", "FP33", {2}}}), "unknown datatype 'FP33'"},
           {request({{"x", "", {2}}}), "'datatype' is missing"},
           {request({{"x", "FP32", {-1}}}), "negative"},
           {request({{"x", "FP32", std::vector<std::int64_t>(33, 1)}}), "32 dimensions"},
           {request({{"x", "FP32", {INT64_MAX, 4}}}, {"1234"}), "too many"},
           {request({{"x", "FP32", {1 << 28}, floats(2)}}), "tensors"},
           {request({{"x", "BYTES", {1 << 20}}}, {"1234"}), "BYTES"},
           {request({{"\xff", "FP32", {1}}}), "UTF-8"},
           {request({}, {}, [](pbf_writer& w) { w.add_string(3, "\xc3"); }), "id is not UTF-8"},
           {request(
                {}, {},
                [](pbf_writer& w) { add_parameter(w, 4, "priority", [](pbf_writer& v) { v.add_string(3, "x"); }); }),
            "priority"},
           {std::string("\x0a\xff", 2), "not valid protobuf"},
           {std::string("\x07", 1), "not valid protobuf"},
       })
    EXPECT_THAT(refusal(wrong.message), HasSubstr(wrong.says));
}

TEST(OipProto, FindsTheTopicWithoutTheTensors) {
  std::string message = request({{"x", "FP33", {-5}}}, {"nonsense"}, [](pbf_writer& w) { w.add_string(3, "7"); });
  auto topic = peek_infer_message(message);
  ASSERT_TRUE(topic.has_value());
  EXPECT_EQ(topic->model, "m");
  EXPECT_EQ(topic->id, "7");
}

Response sample() {
  Response response{.model = "m", .version = "2", .outputs = {}, .queue = {}, .compute = {}};
  Tensor small{.name = "s", .datatype = Datatype::int64, .shape = {1}, .bytes = Buffer(8), .strings = {}};
  small.values<std::int64_t>()[0] = -1;
  Tensor large{.name = "l", .datatype = Datatype::uint8, .shape = {100, 100}, .bytes = Buffer(10'000), .strings = {}};
  for (std::size_t i = 0; i < 10'000; ++i) large.values<std::uint8_t>()[i] = static_cast<std::uint8_t>(i);
  Tensor text{.name = "t", .datatype = Datatype::bytes, .shape = {2}, .bytes = {}, .strings = {"ab", ""}};
  response.outputs.push_back(std::move(large));
  response.outputs.push_back(std::move(small));
  response.outputs.push_back(std::move(text));
  return response;
}

std::string joined(const Message& message) {
  std::string text;
  for (std::string_view piece : message.pieces()) text += piece;
  EXPECT_EQ(text.size(), message.size());
  return text;
}

void expect_sample(std::string_view message, std::string_view id) {
  pbf_reader reader(message.data(), message.size());
  std::vector<std::string> names, raw;
  std::string model, version, got_id;
  while (reader.next()) {
    if (reader.tag() == 1) {
      model = reader.get_string();
    } else if (reader.tag() == 2) {
      version = reader.get_string();
    } else if (reader.tag() == 3) {
      got_id = reader.get_string();
    } else if (reader.tag() == 5) {
      pbf_reader output = reader.get_message();
      ASSERT_TRUE(output.next(1));
      names.push_back(output.get_string());
    } else if (reader.tag() == 6) {
      raw.push_back(reader.get_string());
    } else {
      reader.skip();
    }
  }
  EXPECT_EQ(model, "m");
  EXPECT_EQ(version, "2");
  EXPECT_EQ(got_id, id);
  EXPECT_THAT(names, ElementsAre("l", "s", "t"));
  ASSERT_EQ(raw.size(), 3U);
  EXPECT_EQ(raw[0].size(), 10'000U);
  EXPECT_EQ(raw[0][9'999], static_cast<char>(9'999));
  EXPECT_EQ(raw[1], std::string(8, '\xff'));
  EXPECT_EQ(raw[2], std::string("\2\0\0\0ab\0\0\0\0", 10));
}

TEST(OipProto, WritesAnswersWithoutCopyingWhatIsLarge) {
  InferCall call;
  call.id = "9";
  Response response = sample();
  Message message = encode_infer_message(call, response);
  ASSERT_EQ(message.inserts.size(), 1U);
  EXPECT_EQ(static_cast<const void*>(message.inserts[0].bytes.data()), response.outputs[0].bytes.data());
  expect_sample(joined(message), "9");
}

TEST(OipProto, WritesAnswersOfStreams) {
  InferCall call;
  Response response = sample();
  std::string text = joined(encode_stream_message(call, response));
  pbf_reader reader(text);
  ASSERT_TRUE(reader.next(2));
  protozero::data_view inner = reader.get_view();
  EXPECT_FALSE(reader.next());
  expect_sample({inner.data(), inner.size()}, "");
}

TEST(OipProto, WritesErrorsOfStreams) {
  std::string text = joined(encode_stream_error("4", "no such thing"));
  pbf_reader reader(text);
  ASSERT_TRUE(reader.next(1));
  EXPECT_EQ(reader.get_string(), "no such thing");
  ASSERT_TRUE(reader.next(2));
  pbf_reader response = reader.get_message();
  ASSERT_TRUE(response.next(3));
  EXPECT_EQ(response.get_string(), "4");
}

TEST(OipProto, ReadsRequestsAboutModels) {
  std::string message;
  pbf_writer writer(message);
  writer.add_string(1, "m");
  writer.add_string(2, "3");
  auto named = parse_model_name(message);
  ASSERT_TRUE(named.has_value());
  EXPECT_EQ(named->name, "m");
  EXPECT_EQ(named->version, "3");
  EXPECT_EQ(parse_model_name("")->name, "");
  EXPECT_FALSE(parse_model_name("\x0a\x05").has_value());
  EXPECT_TRUE(*parse_index_message("\x10\x01"));
  EXPECT_FALSE(*parse_index_message(""));
}

TEST(OipProto, ReadsLoads) {
  std::string message;
  pbf_writer writer(message);
  writer.add_string(2, "m");
  add_parameter(writer, 3, "config", [](pbf_writer& v) { v.add_string(3, "{}"); });
  add_parameter(writer, 3, "file:1/model.onnx", [](pbf_writer& v) { v.add_bytes(4, "bytes"); });
  add_parameter(writer, 3, "other", [](pbf_writer& v) { v.add_bool(1, true); });
  auto wanted = parse_load_message(message);
  ASSERT_TRUE(wanted.has_value()) << wanted.error().detail;
  EXPECT_EQ(wanted->name, "m");
  EXPECT_EQ(wanted->config, "{}");
  EXPECT_THAT(wanted->files, ElementsAre(testing::Pair("1/model.onnx", "bytes")));
  EXPECT_EQ(*parse_unload_message(message), "m");
}

}  // namespace
}  // namespace penstock::infer::oip
