#include "token/encoding.h"

#include <gtest/gtest.h>

#include <fstream>
#include <random>

#include "json/value.h"
#include "token/merge.h"
#include "token/test/tables.h"

namespace penstock::token {
namespace {

using test::encoding;

TEST(Encoding, GivesThePublishedTokens) {
  auto lines = test::shared_lines("encode_vectors.jsonl");
  if (lines.empty()) GTEST_SKIP() << "the published vectors are not here";
  std::size_t checked = 0, special = 0;
  for (const std::string& line : lines) {
    json::Value one = *json::parse(line);
    std::string name(json::string_or(one, "encoding", ""));
    if (json::find(one, "options") != nullptr) {
      ++special;  // asks for special tokens
      continue;
    }
    const Encoding* ours = encoding(name);
    ASSERT_NE(ours, nullptr) << name;
    std::string text(json::string_or(one, "text", ""));
    std::vector<std::uint32_t> wanted;
    for (const auto& token : one.at("tokens").as_array()) wanted.push_back(token.to_number<std::uint32_t>());
    EXPECT_EQ(ours->encode(text), wanted) << name << ": " << text;
    EXPECT_EQ(ours->count(text), wanted.size());
    ++checked;
  }
  EXPECT_EQ(checked + special, lines.size());
  RecordProperty("checked", static_cast<int>(checked));
}

}  // namespace
}  // namespace penstock::token
