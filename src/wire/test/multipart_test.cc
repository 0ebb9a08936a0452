#include "wire/multipart.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace penstock::wire {
namespace {

using testing::HasSubstr;

// Everything heard, in one text; content pieces are joined.
struct Heard : MultipartListener {
  void on_part(std::string_view name, std::string_view file, std::uint64_t offset) override {
    text += fmt::format("[{}|{}@{}]", name, file, offset);
  }
  void on_content(std::string_view bytes) override { text += bytes; }
  void on_part_end(std::uint64_t offset) override { text += fmt::format("[end@{}]", offset); }
  std::string text;
};

struct Read {
  std::string heard;
  std::string defect;
  bool done = false;
};

Read read(std::string_view form, std::size_t step, std::string_view boundary = "b") {
  Heard heard;
  MultipartReader reader(boundary, heard);
  Read result;
  for (std::size_t at = 0; at < form.size(); at += step) {
    auto fed = reader.feed(form.substr(at, step));
    if (fed) continue;
    result.defect = fed.error();
    break;
  }
  result.heard = heard.text;
  result.done = reader.done();
  return result;
}

constexpr std::string_view kForm =
    "--b\r\n"
    "Content-Disposition: form-data; name=\"file\"; filename=\"a \\\"b\\\".wav\"\r\n"
    "Content-Type: audio/wav\r\n"
    "\r\n"
    "RI\r\nFF\r\n--not\r\n-\r\n"
    "\r\n--b\r\n"
    "content-disposition:form-data;name=model\r\n"
    "\r\n"
    "whisper-1"
    "\r\n--b\r\n"
    "Content-Disposition: form-data; name=\"empty\"\r\n"
    "\r\n"
    "\r\n--b--\r\n";

TEST(Multipart, GivesTheSamePartsForAnySplit) {
  Read whole = read(kForm, kForm.size());
  EXPECT_EQ(whole.defect, "");
  EXPECT_TRUE(whole.done);
  EXPECT_THAT(whole.heard, HasSubstr("[file|a \"b\".wav@"));
  EXPECT_THAT(whole.heard, HasSubstr("]RI\r\nFF\r\n--not\r\n-\r\n[end@"));
  auto at = kForm.find("whisper-1");
  EXPECT_THAT(whole.heard, HasSubstr(fmt::format("[model|@{}]whisper-1[end@{}]", at, at + 9)));
  for (std::size_t step = 1; step < kForm.size(); ++step) {
    Read split = read(kForm, step);
    EXPECT_EQ(split.heard, whole.heard) << step;
    EXPECT_TRUE(split.done) << step;
  }
}

TEST(Multipart, RefusesWhatReadersCouldReadDifferently) {
  struct Case {
    std::string_view form;
    std::string_view defect;
  };
  for (const Case& given :
       {Case{"preamble\r\n--b\r\n", "start with its boundary"}, Case{"--b \r\n", "follows a boundary"},
        Case{"--bb\r\n", "follows a boundary"},
        Case{"--b\nContent-Disposition: form-data; name=\"model\"\n\nx\n--b--\n", "follows"},
        Case{"--b\r\nno colon\r\n\r\n", "malformed"}, Case{"--b\r\nA: b\r\n folded\r\n\r\n", "malformed"},
        Case{"--b\r\nA: b\nContent-Disposition: form-data; name=\"model\"\r\n\r\n", "malformed"},
        Case{"--b\r\nContent-Type: text/plain\r\n\r\n", "name its field"},
        Case{"--b\r\nContent-Disposition: form-data; name=\"a\"; name=\"b\"\r\n\r\n", "content-disposition"},
        Case{"--b\r\nContent-Disposition: form-data; name=\"a\r\n\r\n", "content-disposition"},
        Case{"--b\r\nContent-Disposition: attachment; name=\"a\"\r\n\r\n", "content-disposition"}}) {
    for (std::size_t step : {1UL, given.form.size()}) {
      EXPECT_THAT(read(given.form, step).defect, HasSubstr(given.defect)) << given.form;
    }
  }
}

TEST(Multipart, RefusesNamesInTwoSpellings) {
  for (std::string_view parameters : {"name =model",
                                      "name= model",
                                      "name=\"a\"; name*=utf-8''model",
                                      "name*=utf-8''model",
                                      "name*0=mo; name*1=del",
                                      "name",
                                      "name=",
                                      "name=\"a\"; x",
                                      "name=\"a\"; =x",
                                      "name=\"a\"; x=1; X=2",
                                      "name=\"mod\\el\"",
                                      "name=mod\\el",
                                      "name=\"a\"b",
                                      "name=\"=?utf-8?q?model?=\"",
                                      "filename=\"a\\\"; name=model; x=\\\"b\"; name=a",
                                      "filename=\"a\\\\\"; name=model",
                                      "name=\"a\\\"b\"",
                                      "name=a;; x=1",
                                      "name=a, model",
                                      "filename=x; filename=y"}) {
    std::string form = fmt::format("--b\r\nContent-Disposition: form-data; {}\r\n\r\n", parameters);
    EXPECT_THAT(read(form, form.size()).defect, HasSubstr("content-disposition")) << parameters;
  }
  for (std::string_view head :
       {"Content-Disposition : form-data; name=model", "Content-Disposition\t: form-data; name=model",
        "Content Disposition: form-data; name=model", "A\x01: b\r\nContent-Disposition: form-data; name=a",
        "Content-Disposition: form-data; name=\"mo\x7f\"",
        "Content-Disposition: form-data; name=a\r\nContent-Disposition: form-data; filename=b",
        "Content-Disposition: form-data; name=model\r\nContent-Transfer-Encoding: base64"}) {
    std::string form = fmt::format("--b\r\n{}\r\n\r\n", head);
    EXPECT_NE(read(form, form.size()).defect, "") << head;
  }
}

TEST(Multipart, TakesWhatClientsWrite) {
  for (std::string_view head :
       {"Content-Disposition: form-data; name=\"file\"; filename=\"C:\\dir\\a.wav\"",
        "Content-Disposition: form-data; name=\"file\"; filename=\"a;b.wav\"; filename*=utf-8''%e2%82%ac.wav",
        "content-disposition:form-data;filename=a.wav;name=file;",
        "Content-Disposition: form-data; name=\"file\"\r\nContent-Type: audio/wav\r\nContent-Length: 3\r\n"
        "Content-Transfer-Encoding: binary",
        "Content-Type: application/octet-stream\r\nContent-Disposition: form-data; filename=\"\\\"q\\\".wav\"; "
        "name=\"file\""}) {
    std::string form = fmt::format("--b\r\n{}\r\n\r\nRI\r\n--b--", head);
    Read got = read(form, form.size());
    EXPECT_EQ(got.defect, "") << head;
    EXPECT_TRUE(got.done && got.heard.starts_with("[file|")) << head;
  }
}

TEST(Multipart, EndsWithItsClosingBoundary) {
  std::string form = "--b\r\nContent-Disposition: form-data; name=a\r\n\r\nx\r\n--b--";
  for (std::size_t step : {1UL, 100UL}) {
    EXPECT_TRUE(read(form, step).done);
    EXPECT_FALSE(read(form + "\r", step).done);
    EXPECT_TRUE(read(form + "\r\n", step).done);
    for (std::string_view more : {"\n", "-", " \r\n", "\r\n\r\n", "\r\nepilogue", "\r\n--b\r\n"})
      EXPECT_THAT(read(form + std::string(more), step).defect, HasSubstr("closing boundary")) << more;
  }
}

TEST(Multipart, BoundsTheHeadOfAPartAndTheirNumber) {
  EXPECT_THAT(read("--b\r\nA: " + std::string(9000, 'x'), 100).defect, HasSubstr("8 KiB"));
  std::string many = "--b";
  for (int i = 0; i < 1025; ++i) many += "\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n\r\n--b";
  EXPECT_THAT(read(many + "--\r\n", 4096).defect, HasSubstr("1024 parts"));
}

TEST(Multipart, AFormThatIsCutIsNotDone) {
  for (std::size_t size = 0; size + 12 < kForm.size(); ++size)
    EXPECT_FALSE(read(kForm.substr(0, size), 7).done) << size;
}

TEST(Multipart, FindsTheBoundary) {
  EXPECT_EQ(form_boundary("multipart/form-data; boundary=abc"), "abc");
  EXPECT_EQ(form_boundary("Multipart/Form-Data;charset=utf-8; Boundary=\"a b:c\""), "a b:c");
  EXPECT_EQ(form_boundary("multipart/form-data"), "");
  EXPECT_EQ(form_boundary("multipart/mixed; boundary=abc"), "");
  EXPECT_EQ(form_boundary("application/json; boundary=abc"), "");
  EXPECT_EQ(form_boundary("multipart/form-data; boundary=" + std::string(70, 'x')), std::string(70, 'x'));
  EXPECT_EQ(form_boundary("multipart/form-data; boundary=a=b:c?"), "a=b:c?");
  for (std::string_view value : {"a; boundary=b", "\"a\"; Boundary=b", "a; x", "a; boundary*=b", "\"a\\b\"", "\"a \"",
                                 "\"\"", "", " a", "a b", "a*b", "\"a\xc3\xa9\""}) {
    EXPECT_EQ(form_boundary(fmt::format("multipart/form-data; boundary={}", value)), "") << value;
  }
  EXPECT_EQ(form_boundary("multipart/form-data; boundary =a"), "");
  EXPECT_EQ(form_boundary("multipart/form-data; boundary=" + std::string(71, 'x')), "");
}

TEST(Multipart, SaysABoundaryInOneWay) {
  EXPECT_EQ(form_content_type("a-b"), "multipart/form-data; boundary=a-b");
  EXPECT_EQ(form_content_type("a b=c"), "multipart/form-data; boundary=\"a b=c\"");
  EXPECT_EQ(form_boundary(form_content_type("a b=c")), "a b=c");
}

}  // namespace
}  // namespace penstock::wire
