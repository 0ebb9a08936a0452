#include "base/glob.h"

#include <gtest/gtest.h>

namespace penstock::base {
namespace {

TEST(Glob, MatchesAnyCharactersWithAStar) {
  EXPECT_TRUE(glob_matches("", ""));
  EXPECT_TRUE(glob_matches("*", ""));
  EXPECT_TRUE(glob_matches("*", "a/b"));
  EXPECT_TRUE(glob_matches("lab/*", "lab/llama"));
  EXPECT_TRUE(glob_matches("*-mini", "gpt-4o-mini"));
  EXPECT_TRUE(glob_matches("a*b*c", "aXbXbc"));
  EXPECT_TRUE(glob_matches("a**", "a"));
}

TEST(Glob, MatchesTheWholeText) {
  EXPECT_FALSE(glob_matches("", "a"));
  EXPECT_FALSE(glob_matches("lab/*", "cloud/x"));
  EXPECT_FALSE(glob_matches("chat", "chat2"));
  EXPECT_FALSE(glob_matches("*chat", "chat2"));
  EXPECT_FALSE(glob_matches("a*b", "a"));
}

}  // namespace
}  // namespace penstock::base
