// A chat counts the same straight from its bytes and by way of the canonical model.
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>

#include "ext/apis/openai/request_reader.h"
#include "token/chat_count.h"
#include "token/openai_chat.h"

namespace penstock::ext {
namespace {

void expect_same(const std::string& body) {
  auto canonical = read_openai_chat(body);
  ASSERT_TRUE(canonical) << body << ": " << canonical.error().detail;
  auto raw = token::measure_openai_chat(body, "gpt-4o");
  ASSERT_TRUE(raw) << body << ": " << raw.error().detail;
  token::InputSize size = token::measure(*canonical, "gpt-4o");
  EXPECT_EQ(size.tokens, raw->tokens) << body;
  EXPECT_EQ(size.text_bytes, raw->text_bytes) << body;
}

std::string chat(std::string_view messages, std::string_view more = "") {
  return R"({"model":"m","messages":[)" + std::string(messages) + "]" + std::string(more) + "}";
}

TEST(TokenCount, IsTheSameRawAndRead) {
  expect_same(chat(R"({"role":"system","content":"be \"brief\""},{"role":"user","name":"ann","content":"h\u00e9"})"));
  expect_same(chat(R"({"role":"user","content":[{"type":"text","text":"a"},{"type":"image_url","image_url":
                   {"url":"data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAABAAAAAQACAYAAAA=","detail":"high"}},
                   {"type":"input_audio","input_audio":{"data":"AAAA","format":"wav"}},
                   {"type":"file","file":{"filename":"a.txt","file_data":"data:text/plain;base64,aGVsbG8="}}]})"));
  expect_same(chat(R"({"role":"assistant","content":null,"tool_calls":[
                     {"id":"a","type":"function","function":{"name":"f","arguments":"{\"x\": 1}"}}]},
                   {"role":"tool","tool_call_id":"a","content":[{"type":"text","text":"done"}]},
                   {"role":"assistant","reasoning_content":"hm","content":"so","refusal":"no"})",
                   R"(,"tools":[{"type":"function","function":{"name":"f","description":"does","parameters":
                     {"type":"object","properties":{"x":{"type":"integer","enum":[1,2]}},"required":["x"]}}}],
                     "tool_choice":{"type":"function","function":{"name":"f"}})"));
  expect_same(
      chat(R"({"role":"user","content":"x"})",
           R"(,"response_format":{"type":"json_schema","json_schema":{"name":"n","schema":{"type":"object"}}})"));
  expect_same(chat(R"({"role":"user","content":"x"})", R"(,"tool_choice":"none","functions":[{"name":"f"}])"));
}

TEST(TokenCount, IsTheSameForThePublishedChats) {
  const char* shared = std::getenv("PENSTOCK_SHARED");
  std::string root = shared != nullptr ? shared : PENSTOCK_SOURCE_DIR "/../shared";
  std::ifstream in(root + "/data/tokenizer/chat_token_counts_gpt4o.jsonl");
  if (!in) GTEST_SKIP() << "the published counts are not here; set PENSTOCK_SHARED";
  for (std::string line; std::getline(in, line);) expect_same(R"({"model":"m",)" + line.substr(1));
}

}  // namespace
}  // namespace penstock::ext
