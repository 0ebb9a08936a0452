#include "ext/apis/openai/kept_responses.h"

#include <gmock/gmock.h>
#include <unistd.h>

#include <filesystem>

#include "json/value.h"

namespace penstock::ext {
namespace {

using testing::HasSubstr;

class KeptResponsesTest : public testing::Test {
 protected:
  KeptResponsesTest() : dir_(testing::TempDir() + fmt::format("penstock_kept_{}", ::getpid())) {
    std::filesystem::remove_all(dir_);
    state_.emplace(std::move(*store::State::open(dir_)));
  }
  ~KeptResponsesTest() override { std::filesystem::remove_all(dir_); }

  // A response with one message of so many bytes, msg_SEED_0.
  void keep(const std::string& seed, std::size_t bytes, const std::string& previous = "") {
    std::string body = fmt::format(R"({{"output":[{{"id":"msg_{}_0","type":"message","content":"{}"}}]}})", seed,
                                   std::string(bytes, 'x'));
    ASSERT_TRUE(state_->add_response({"resp_" + seed, "k", "", previous, "[]", body}, 1));
  }
  Result<std::string> resolve(std::size_t references, std::string_view id, const std::string& key = "k") {
    std::string input = "[";
    for (std::size_t i = 0; i < references; ++i)
      input += fmt::format(R"({}{{"type":"item_reference","id":"{}"}})", i == 0 ? "" : ",", id);
    return resolve_references(*state_, input + "]", {.key = key});
  }

  std::string dir_;
  std::optional<store::State> state_;
};

TEST_F(KeptResponsesTest, ReferencesBecomeTheirItems) {
  keep("a", 3);
  EXPECT_EQ(*resolve(2, "msg_a_0"), R"([{"id":"msg_a_0","type":"message","content":"xxx"},)"
                                    R"({"id":"msg_a_0","type":"message","content":"xxx"}])");
  std::string unknown = R"([{"type":"item_reference","id":"msg_b_0"}])";
  EXPECT_EQ(*resolve(1, "msg_b_0"), unknown);
  EXPECT_THAT(*resolve(1, "msg_a_0", "somebody else"), HasSubstr("item_reference"));
  EXPECT_EQ(*resolve_references(*state_, R"([1,"item_reference"])", {.key = "k"}), R"([1,"item_reference"])");
}

TEST_F(KeptResponsesTest, ReferencesAreCountedAndWeighed) {
  keep("small", 1);
  EXPECT_TRUE(resolve(256, "msg_small_0"));
  EXPECT_EQ(resolve(257, "msg_small_0").error().code, Errc::invalid_argument);
  keep("large", 1U << 20);
  EXPECT_TRUE(resolve(31, "msg_large_0"));
  EXPECT_EQ(resolve(32, "msg_large_0").error().code, Errc::out_of_range);
}

TEST_F(KeptResponsesTest, AConversationFitsIntoTheRoomThatIsLeft) {
  keep("a", 1000);
  keep("b", 1000, "resp_a");
  EXPECT_TRUE(read_earlier(*state_, "resp_b", {.key = "k"}, 3000));
  EXPECT_EQ(read_earlier(*state_, "resp_b", {.key = "k"}, 1500).error().code, Errc::out_of_range);
  EXPECT_EQ(read_earlier(*state_, "resp_b", {.key = "other"}).error().code, Errc::not_found);
}

}  // namespace
}  // namespace penstock::ext
