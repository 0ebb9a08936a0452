#include "ingest/text_template.h"

#include <gmock/gmock.h>

#include "ingest/test/step_harness.h"

namespace penstock::ingest {
namespace {

// The text, or the mistakes of the template.
std::string render(const std::string& text, const Sample& sample) {
  auto document = config::Document::parse("t: '" + text + "'\n", "test.yaml");
  if (!document) return document.error().detail;
  config::Map root = document->root().map();
  auto made = TextTemplate::read(root.get("t"));
  return made ? made->render(sample) : document->report();
}

TEST(TextTemplate, FillsInExpressions) {
  Sample sample = sample_at(0, "vib", std::vector<double>{1, 3}, "press-1");
  sample.set("temp", 81.5, "degC");
  sample.tags = {{"line", "A"}};
  EXPECT_EQ(render("{device}: {temp}, mean {mean(vib[])}, line {tags.line}, {missing}", sample),
            "press-1: 81.5degC, mean 2, line A, -");
  EXPECT_EQ(render("{{\"a\": {temp > 80}}}", sample), "{\"a\": true}");
  EXPECT_EQ(render("{temp > 80degC ? \"hot }\" : \"cold\"}", sample), "hot }");
  EXPECT_EQ(render("plain", sample), "plain");
}

TEST(TextTemplate, ValuesBringNoControlCharactersAndNoFlood) {
  Sample sample = sample_at(0, "x",
                            std::string("a\nb\x01"
                                        "c"));
  EXPECT_EQ(render("<{x}>", sample), "<a b c>");
  sample.set("x", std::string(5000, 'y'));
  EXPECT_EQ(render("{x}", sample).size(), TextTemplate::kValueBytesMax);
}

TEST(TextTemplate, SaysWhatIsWrong) {
  const Sample sample = sample_at(0, "x", 1.0);
  EXPECT_THAT(render("a } b", sample), testing::HasSubstr("column 3: a '}' without its '{'"));
  EXPECT_THAT(render("a {x", sample), testing::HasSubstr("column 3: a '{' without its '}'"));
  EXPECT_THAT(render("a {x +}", sample), testing::HasSubstr("in the braces at column 3: column"));
}

}  // namespace
}  // namespace penstock::ingest
