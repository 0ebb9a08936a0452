#include "ext/shares/redis/redis_address.h"

#include <gmock/gmock.h>

namespace penstock::ext {
namespace {

TEST(RedisAddress, ReadsWhatPeopleWrite) {
  struct Case {
    std::string_view text, place, user, password;
  };
  for (const Case& one : {Case{"redis://cache", "redis://cache:6379/0", "", ""},
                          Case{"redis://cache:7000/3", "redis://cache:7000/3", "", ""},
                          Case{"redis://[::1]:7000/", "redis://[::1]:7000/0", "", ""},
                          Case{"redis://:s3cret@cache", "redis://cache:6379/0", "", "s3cret"},
                          Case{"redis://gate:p%40ss%2Fw@cache/1", "redis://cache:6379/1", "gate", "p@ss/w"},
                          Case{"unix:/run/redis.sock", "unix:/run/redis.sock", "", ""},
                          Case{"unix:/run/redis.sock?db=2", "unix:/run/redis.sock?db=2", "", ""}}) {
    auto address = parse_redis_address(one.text);
    ASSERT_TRUE(address) << one.text << ": " << address.error().detail;
    EXPECT_EQ(address->place(), one.place);
    EXPECT_EQ(address->user, one.user);
    EXPECT_EQ(address->password.reveal(), one.password);
  }
}

TEST(RedisAddress, RefusesTheRestWithoutRepeatingIt) {
  for (std::string_view text :
       {"", "cache:6379", "http://s3cret@cache", "rediss://:s3cret@cache", "redis://", "redis://:s3cret@",
        "redis://:s3cret@cache:99999", "redis://:s3cret@cache/x", "redis://:s3cret%4@cache", "redis://:s3cret%zz@cache",
        "redis://:s3cret@cache/-1", "unix:", "unix:/run/redis.sock?s3cret", "redis://:s3cret@cache/99999999999999"}) {
    auto address = parse_redis_address(text);
    ASSERT_FALSE(address) << text;
    EXPECT_THAT(address.error().detail, testing::Not(testing::HasSubstr("s3cret")));
    EXPECT_FALSE(address.error().detail.empty());
  }
}

}  // namespace
}  // namespace penstock::ext
