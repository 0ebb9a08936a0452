#include "base/secret.h"

#include <gtest/gtest.h>

#include <set>

#include "base/clock.h"
#include "base/registry.h"

namespace penstock::base {
namespace {

TEST(Secret, HmacMatchesRfc4231Case2) {
  EXPECT_EQ(hmac_sha256_hex("Jefe", "what do ya want for nothing?"),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
}

TEST(Secret, MovedFromIsEmpty) {
  Secret a("hello");
  Secret b(std::move(a));
  EXPECT_EQ(b.reveal(), "hello");
  EXPECT_TRUE(a.empty());  // NOLINT(bugprone-use-after-move): the contract under test
}

TEST(Secret, ComparesWholeStrings) {
  EXPECT_TRUE(constant_time_equal("abc", "abc"));
  EXPECT_FALSE(constant_time_equal("abc", "abd"));
  EXPECT_FALSE(constant_time_equal("abc", "ab"));
}

TEST(Secret, TokensDoNotRepeat) {
  std::set<std::string> seen;
  for (int i = 0; i < 100; ++i) seen.insert(random_token(24));
  EXPECT_EQ(seen.size(), 100U);
  EXPECT_EQ(random_token(24).size(), 32U);
}

TEST(Clock, PrintsRfc3339) { EXPECT_EQ(to_rfc3339(1'700'000'000'123'456), "2023-11-14T22:13:20.123Z"); }

TEST(Registry, KeepsContractsApartAndTheFirstName) {
  struct A {
    int value;
  };
  struct B {
    int value;
  };
  Registry registry;
  EXPECT_TRUE(registry.add("x", A{1}));
  EXPECT_FALSE(registry.add("x", A{2}));
  EXPECT_TRUE(registry.add("x", B{3}));
  EXPECT_EQ(registry.find<A>("x")->value, 1);
  EXPECT_EQ(registry.find<B>("x")->value, 3);
  EXPECT_EQ(registry.find<A>("y"), nullptr);
  EXPECT_EQ(registry.names<A>(), std::vector<std::string>{"x"});
}

}  // namespace
}  // namespace penstock::base
