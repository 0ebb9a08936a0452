#include "infer/shown_text.h"

#include <gtest/gtest.h>

namespace penstock::infer {
namespace {

TEST(ShownText, LeavesNothingThatBreaksALineOrJson) {
  EXPECT_EQ(shown_text("Größe [-1,3]"), "Größe [-1,3]");
  EXPECT_EQ(shown_text("a\nb\tc\x7f"), "a b c ");
  EXPECT_EQ(shown_text("Gr\xf6\xdf"
                       "e \xff"),
            "Gr??e ?");
  EXPECT_EQ(shown_text(std::string("a\0b", 3)), "a b");
}

}  // namespace
}  // namespace penstock::infer
