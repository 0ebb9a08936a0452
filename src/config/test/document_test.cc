#include "config/document.h"

#include <gtest/gtest.h>

namespace penstock::config {
namespace {

using namespace std::chrono_literals;

const char* fake_environment(const std::string& name) {
  if (name == "KEY") return "s3cret";
  return nullptr;
}

Document parse(std::string_view text) {
  auto document = Document::parse(text, "test.yaml", fake_environment);
  EXPECT_TRUE(document.has_value()) << document.error().detail;
  return *document;
}

TEST(Document, ReadsTypedValues) {
  Document doc = parse("a: 20ms\nb: { c: 64KiB, d: true, e: [x, y], f: one }\ng: 5\n");
  Map map = doc.root().map();
  EXPECT_EQ(map.duration("a", 0s), 20ms);
  EXPECT_EQ(map.integer("g", 0, 1, 9), 5);
  Map b = map.get("b").map();
  EXPECT_EQ(b.size("c", 0), 65536U);
  EXPECT_TRUE(b.boolean("d", false));
  EXPECT_EQ(b.texts("e"), (std::vector<std::string>{"x", "y"}));
  EXPECT_EQ(b.texts("f"), (std::vector<std::string>{"one"}));
  b.done();
  map.done();
  EXPECT_FALSE(doc.failed()) << doc.report();
}

TEST(Document, ReportsUnknownKeysWithPlaceAndHint) {
  Document doc = parse("listen: x\n  \nadmn: y\n");
  Map map = doc.root().map();
  map.text("listen");
  map.text("admin");
  map.done();
  EXPECT_EQ(doc.report(), "test.yaml:3:1: unknown key 'admn'; did you mean 'admin'?");
}

TEST(Document, ReportsEveryMistakeInOrder) {
  Document doc = parse("a: 20\nb: maybe\nc: 11\nd: [1]\ne: lest_busy\n");
  Map map = doc.root().map();
  map.choice("e", {"least_busy", "weighted"}, "weighted");
  map.text("d");
  EXPECT_EQ(map.integer("c", 3, 1, 10), 3);
  EXPECT_TRUE(map.boolean("b", true));
  EXPECT_EQ(map.duration("a", 7s), 7s);
  map.required("z");
  EXPECT_EQ(doc.problems().size(), 6U);
  std::string report = doc.report();
  EXPECT_TRUE(report.starts_with("test.yaml:1:1: 'z' is missing\ntest.yaml:1:4: a: '20' is not a duration")) << report;
  EXPECT_NE(report.find("did you mean 'least_busy'?"), std::string::npos) << report;
}

TEST(Document, ReportsDuplicateNames) {
  Document doc = parse("m:\n  chat: 1\n  chat: 2\n");
  Map map = doc.root().map().get("m").map();
  EXPECT_EQ(map.entries().size(), 1U);
  EXPECT_EQ(doc.report(), "test.yaml:3:3: 'chat' appears twice; names must be unique");
}

TEST(Document, ReplacesVariablesInsideFlowMaps) {
  Document doc = parse("p: { api_key: ${KEY}, other: \"x-${KEY}-y\", fallback: ${NONE:-http://h/v1} }\n");
  Map map = doc.root().map().get("p").map();
  EXPECT_EQ(map.secret("api_key").reveal(), "s3cret");
  EXPECT_EQ(map.text("other"), "x-s3cret-y");
  EXPECT_EQ(map.text("fallback"), "http://h/v1");
  EXPECT_EQ(map.get("api_key").raw(), "${KEY}");
  map.done();
  EXPECT_FALSE(doc.failed()) << doc.report();
}

TEST(Document, NamesTheMissingVariableAtItsPlace) {
  Document doc = parse("p: { type: openai, api_key: ${NOT_SET} }\n");
  doc.root().map().get("p").map().secret("api_key");
  EXPECT_EQ(doc.report(),
            "test.yaml:1:29: p.api_key: the environment variable NOT_SET is not set; set it, or write "
            "${NOT_SET:-default}");
}

TEST(Document, SecretsStayOutOfProblems) {
  Document doc = parse("a: ${KEY}\n");
  doc.root().map().get("a").boolean();
  EXPECT_EQ(doc.report().find("s3cret"), std::string::npos) << doc.report();
}

TEST(Document, DescribesBrokenYamlWithItsPlace) {
  auto document = Document::parse("a: [1, 2\nb: 3\n", "bad.yaml");
  ASSERT_FALSE(document.has_value());
  EXPECT_TRUE(document.error().detail.starts_with("bad.yaml:2:")) << document.error().detail;
}

TEST(Document, TreatsAKeyWithoutValueAsEmptyMap) {
  Document doc = parse("host:\n");
  Map map = doc.root().map().get("host").map();
  map.done();
  EXPECT_FALSE(doc.failed());
}

}  // namespace
}  // namespace penstock::config
