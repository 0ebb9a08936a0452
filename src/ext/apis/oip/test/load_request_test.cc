#include "ext/apis/oip/load_request.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace penstock::ext {
namespace {

using testing::HasSubstr;

std::string refusal(std::string_view body) {
  auto request = parse_load(body);
  return request ? std::string() : request.error().detail;
}

TEST(ParseLoad, TakesConfigAndFiles) {
  auto request =
      parse_load(R"({"parameters":{"config":"{\"max_batch_size\":4}","file:2/model.onnx":"AAEC","other":1}})");
  ASSERT_TRUE(request) << request.error().detail;
  EXPECT_EQ(request->config, R"({"max_batch_size":4})");
  ASSERT_EQ(request->files.size(), 1U);
  EXPECT_EQ(request->files.at("2/model.onnx"), std::string("\0\1\2", 3));
}

TEST(ParseLoad, NeedsNothing) {
  for (const char* body : {"", "{}", R"({"parameters":null})", R"({"parameters":{}})", R"({"x":1})"}) {
    auto request = parse_load(body);
    ASSERT_TRUE(request) << body << request.error().detail;
    EXPECT_EQ(request->config, "");
    EXPECT_TRUE(request->files.empty());
  }
}

TEST(ParseLoad, RefusesFilesThatLeadElsewhere) {
  for (const char* path : {"model.onnx", "/1/model.onnx", "1/", "1/..", "1/../2/x", "../1/x", "0/x", "01/x", "a/x",
                           "1/a/b", "1\\\\x", "1/a\\\\b", "99999999999999999999/x", "1/a b", ""}) {
    std::string body = fmt::format(R"({{"parameters":{{"config":"{{}}","file:{}":"AAEC"}}}})", path);
    EXPECT_THAT(refusal(body), HasSubstr("must be VERSION/NAME")) << body;
  }
}

TEST(ParseLoad, SaysWhatIsWrong) {
  EXPECT_THAT(refusal("{"), HasSubstr("malformed JSON"));
  EXPECT_THAT(refusal("[]"), HasSubstr("must be an object"));
  EXPECT_THAT(refusal(R"({"parameters":[]})"), HasSubstr("'parameters' must be an object"));
  EXPECT_THAT(refusal(R"({"parameters":{"config":{}}})"), HasSubstr("'config' must be a string"));
  EXPECT_THAT(refusal(R"({"parameters":{"config":"{}","file:1/m":"%%%"}})"), HasSubstr("in base64"));
  EXPECT_THAT(refusal(R"({"parameters":{"config":"{}","file:1/m":7}})"), HasSubstr("in base64"));
  EXPECT_THAT(refusal(R"({"parameters":{"file:1/m":"AAEC"}})"), HasSubstr("parameter 'config' is missing"));
}

}  // namespace
}  // namespace penstock::ext
