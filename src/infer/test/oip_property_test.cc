// However a tensor comes, it is the same tensor: flat, nested, raw; and what is written reads back.
#include <gtest/gtest.h>

#include <random>

#include "infer/oip.h"
#include "infer/raw_tensor.h"
#include "json/cursor.h"

namespace penstock::infer::oip {
namespace {

class Maker {
 public:
  explicit Maker(unsigned seed) : random_(seed) {}

  Tensor tensor() {
    Tensor made{.name = "x", .datatype = Datatype::fp32, .shape = {}, .bytes = {}, .strings = {}};
    made.datatype = static_cast<Datatype>(below(static_cast<unsigned>(Datatype::bytes) + 1));
    made.shape.resize(below(5));
    for (std::int64_t& extent : made.shape) extent = static_cast<std::int64_t>(below(5));
    std::size_t count = *element_count(made.shape);
    if (made.datatype == Datatype::bytes) {
      for (std::size_t i = 0; i < count; ++i) made.strings.push_back(word());
      return made;
    }
    made.bytes = Buffer(count * element_bytes(made.datatype));
    for (std::size_t i = 0; i < made.bytes.size(); ++i) made.bytes.data()[i] = static_cast<std::byte>(below(256));
    tame(made);
    return made;
  }

 private:
  unsigned below(unsigned bound) { return static_cast<unsigned>(random_() % bound); }
  std::string word() {
    static const char* const kPieces[] = {"a", "\"", "\\", "\n", "\xC3\xA9", "\xF0\x9F\x98\x80", "\x7F"};
    std::string text;
    for (unsigned i = below(6); i > 0; --i) text += kPieces[below(7)];
    return text;
  }
  // What JSON can say: no NaN, no infinity, and one byte for true.
  void tame(Tensor& tensor) {
    if (tensor.datatype == Datatype::boolean)
      for (auto& value : tensor.values<std::uint8_t>()) value &= 1;
    if (tensor.datatype == Datatype::fp32) clear<std::uint32_t>(tensor, 0x7F800000);
    if (tensor.datatype == Datatype::fp64) clear<std::uint64_t>(tensor, 0x7FF0000000000000);
    if (tensor.datatype == Datatype::fp16) clear<std::uint16_t>(tensor, 0x7C00);
    if (tensor.datatype == Datatype::bf16) clear<std::uint16_t>(tensor, 0x7F80);
  }
  template <class Bits>
  void clear(Tensor& tensor, Bits exponent) {
    for (Bits& bits : tensor.values<Bits>()) {
      if ((bits & exponent) == exponent) bits = static_cast<Bits>(bits & static_cast<Bits>(~exponent));
    }
  }
  std::mt19937 random_;
};

std::string header(const Tensor& tensor, std::string_view rest) {
  return fmt::format(R"({{"inputs":[{{"name":"x","shape":{},"datatype":"{}",{}}}]}})", format_shape(tensor.shape),
                     to_string(tensor.datatype), rest);
}

// The elements as an answer has them, each the text of a JSON value.
std::vector<std::string> elements_of(const Tensor& tensor) {
  Response response{.model = "m", .version = "1", .outputs = {tensor}, .queue = {}, .compute = {}};
  std::string answer = encode_infer({}, response).body;
  std::string_view rest = answer;
  rest.remove_prefix(rest.find("\"data\":") + 7);
  json::Cursor in(rest);
  std::vector<std::string> texts;
  in.open_array();
  while (in.next_element()) {
    std::size_t begin = in.offset();
    in.skip();
    texts.emplace_back(rest.substr(begin, in.offset() - begin));
  }
  EXPECT_FALSE(in.failed()) << in.error();
  return texts;
}

std::string nested(const std::vector<std::string>& flat, std::span<const std::int64_t> shape, std::size_t& next) {
  if (shape.empty()) return flat.at(next++);
  std::vector<std::string> level;
  for (std::int64_t i = 0; i < shape.front(); ++i) level.push_back(nested(flat, shape.subspan(1), next));
  return fmt::format("[{}]", fmt::join(level, ","));
}

testing::AssertionResult same(const Tensor& wanted, const Result<InferCall>& call) {
  if (!call) return testing::AssertionFailure() << call.error().detail;
  const Tensor& got = call->request.inputs.at(0);
  bool bytes =
      got.bytes.size() == wanted.bytes.size() &&
      (wanted.bytes.size() == 0 || std::memcmp(got.bytes.data(), wanted.bytes.data(), wanted.bytes.size()) == 0);
  if (bytes && got.strings == wanted.strings && got.shape == wanted.shape && got.datatype == wanted.datatype)
    return testing::AssertionSuccess();
  return testing::AssertionFailure() << to_string(wanted.datatype) << format_shape(wanted.shape);
}

TEST(Property, FlatNestedAndRawAreTheSameTensor) {
  for (unsigned seed = 0; seed < 3000; ++seed) {
    Tensor tensor = Maker(seed).tensor();
    std::vector<std::string> flat = elements_of(tensor);
    std::string text = header(tensor, fmt::format("\"data\":[{}]", fmt::join(flat, ",")));
    EXPECT_TRUE(same(tensor, parse_infer(text))) << text;
    if (!tensor.shape.empty()) {
      std::size_t next = 0;
      std::string deep = header(tensor, "\"data\":" + nested(flat, tensor.shape, next));
      EXPECT_TRUE(same(tensor, parse_infer(deep))) << deep;
    }
    std::string raw = header(tensor, fmt::format(R"("parameters":{{"binary_data_size":{}}})", raw_size(tensor)));
    std::size_t json_bytes = raw.size();
    append_raw(raw, tensor);
    EXPECT_TRUE(same(tensor, parse_infer(raw, {.json_bytes = json_bytes})));
  }
}

TEST(Property, NoCutOfARawRequestIsTaken) {
  for (unsigned seed = 0; seed < 50; ++seed) {
    Tensor tensor = Maker(seed).tensor();
    std::string raw = header(tensor, fmt::format(R"("parameters":{{"binary_data_size":{}}})", raw_size(tensor)));
    std::size_t json_bytes = raw.size();
    append_raw(raw, tensor);
    for (std::size_t size = 0; size < raw.size(); ++size)
      EXPECT_FALSE(parse_infer(std::string_view(raw).substr(0, size), {.json_bytes = json_bytes}));
  }
}

}  // namespace
}  // namespace penstock::infer::oip
