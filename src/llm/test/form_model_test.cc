#include "llm/form_model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace penstock::llm {
namespace {

using testing::HasSubstr;

std::string part(std::string_view name, std::string_view value) {
  return fmt::format("--b\r\nContent-Disposition: form-data; name=\"{}\"\r\n\r\n{}\r\n", name, value);
}

const std::string kForm =
    part("file", std::string(5000, 'x')) + part("model", "whisper") + part("language", "en") + "--b--\r\n";

TEST(FormModel, FindsTheNameAndItsPlaceForAnySplit) {
  for (std::size_t step : {1UL, 2UL, 7UL, 100UL, kForm.size()}) {
    FormModel form("b", "");
    for (std::size_t at = 0; at < kForm.size(); at += step) {
      ASSERT_TRUE(form.feed(std::string_view(kForm).substr(at, step)));
      // What is settled never cuts into a name that is not whole.
      if (!form.found()) EXPECT_LE(form.settled(), kForm.find("whisper")) << step;
    }
    ASSERT_TRUE(form.found());
    EXPECT_EQ(form.name(), "whisper");
    EXPECT_EQ(form.begin(), kForm.find("whisper"));
    EXPECT_EQ(form.end(), form.begin() + 7);
    EXPECT_EQ(form.settled(), kForm.size());
  }
}

TEST(FormModel, RefusesWhatAProviderCouldReadDifferently) {
  struct Case {
    std::string form;
    std::string expected;
    std::string_view why;
  };
  for (const Case& given :
       {Case{part("model", "a") + part("model", "b"), "", "twice"},
        Case{part("model", "a") + part("model", "a"), "", "twice"},
        Case{part("model", "a") + "--b--", "b", "x-penstock-model names 'b'"},
        Case{part("model", "") + "--b--", "", "empty"}, Case{part("model", std::string(600, 'm')) + "--b--", "", "512"},
        Case{part("model", "a\nb") + "--b--", "", "control"},
        Case{part("model", std::string(1, '\0')) + "--b--", "", "control"},
        Case{part("model", "a\x7f") + "--b--", "", "control"}, Case{part("Model", "a"), "", "taken for 'model'"},
        Case{part("model[]", "a"), "", "taken for 'model'"}, Case{part(" model ", "a"), "", "taken for 'model'"},
        Case{part("model\"; filename=\"x", "a"), "", "is a file"}, Case{"no form", "", "malformed"}}) {
    FormModel form("b", given.expected);
    auto fed = form.feed(given.form);
    ASSERT_FALSE(fed) << given.why;
    EXPECT_EQ(fed.error().code, Errc::invalid_argument);
    EXPECT_THAT(fed.error().detail, HasSubstr(given.why));
  }
}

TEST(FormModel, EndsWithItsBoundaryAndItsModel) {
  for (std::size_t size = 0; size <= kForm.size(); size += size < 5000 ? 500 : 1) {
    FormModel form("b", "");
    ASSERT_TRUE(form.feed(std::string_view(kForm).substr(0, size)));
    bool whole = size == kForm.size() || size + 2 == kForm.size();
    EXPECT_EQ(form.finish().has_value(), whole) << size;
    if (!whole) EXPECT_THAT(form.finish().error().detail, HasSubstr("ends before its closing boundary"));
  }
  FormModel nameless("b", "whisper");
  ASSERT_TRUE(nameless.feed(part("file", "x") + "--b--"));
  ASSERT_FALSE(nameless.finish());
  EXPECT_THAT(nameless.finish().error().detail, HasSubstr("no field 'model'"));
}

TEST(FormModel, TakesTheExpectedName) {
  FormModel form("b", "whisper");
  EXPECT_TRUE(form.feed(kForm));
  EXPECT_TRUE(form.found());
}

}  // namespace
}  // namespace penstock::llm
