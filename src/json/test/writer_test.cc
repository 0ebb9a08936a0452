#include "json/writer.h"

#include <gmock/gmock.h>

#include <limits>

namespace penstock::json {
namespace {

TEST(Writer, SetsCommasWhereTheyAreDue) {
  std::string text = "data: ";
  Writer out(text);
  out.open_object().member("a", "x").member("b", 1).member("c", true).key("d").open_array().string("[").string(":");
  out.open_object().close_object().open_array().close_array().null().number(std::int64_t{-5}).close_array();
  out.member("e", Value(Array{1, "y"})).key("f").raw("{}").close_object();
  EXPECT_EQ(text, R"(data: {"a":"x","b":1,"c":true,"d":["[",":",{},[],null,-5],"e":[1,"y"],"f":{}})");
}

TEST(Writer, WritesNumbersThatReadBackTheSame) {
  std::string text;
  Writer out(text);
  out.open_array().number(0.1).number(0.1F).number(1e300).number(2.0);
  out.number(std::numeric_limits<double>::infinity()).close_array();
  EXPECT_EQ(text, "[0.1,0.1,1e+300,2,null]");
}

TEST(Writer, EscapesAndRepairsText) {
  std::string text;
  Writer out(text);
  out.open_array().string("\"\n\x01").string("\xff").close_array();
  EXPECT_EQ(text, "[\"\\\"\\n\\u0001\",\"\xEF\xBF\xBD\"]");
}

}  // namespace
}  // namespace penstock::json
