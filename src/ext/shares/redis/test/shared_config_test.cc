#include <gmock/gmock.h>

#include "base/registry.h"
#include "quota/share.h"

namespace penstock::ext {

void register_shares_redis(base::Registry& registry);

namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::Not;

struct Read {
  explicit Read(const std::string& yaml) {
    register_shares_redis(registry);
    auto document = config::Document::parse(yaml, "gateway.yaml", [](const std::string& name) {
      return name == "REDIS_URL" ? "redis://gate:s3cret@cache:7000/2" : name == "PASSWORD" ? "s3cret" : nullptr;
    });
    config::Map root = document->root().map();
    config = quota::parse_shared(root.get("shared"), registry);
    root.done();
    report = document->report();
  }
  base::Registry registry;
  std::optional<quota::ShareConfig> config;
  std::string report;
};

TEST(SharedConfig, IsNothingWhenAbsent) {
  Read read("listen: 127.0.0.1:0\n");
  EXPECT_FALSE(read.config);
}

TEST(SharedConfig, ReadsAll) {
  Read read(
      "shared: { redis: '${REDIS_URL}', prefix: lab, timeout: 1s, slice: 5%, every: 50ms, gateways: 3, keys: false "
      "}\n");
  ASSERT_TRUE(read.config) << read.report;
  EXPECT_EQ(read.report, "");
  EXPECT_EQ(read.config->store.place, "redis://cache:7000/2");
  EXPECT_EQ(read.config->slice, 0.05);
  EXPECT_EQ(read.config->every, 50ms);
  EXPECT_EQ(read.config->gateways, 3);
  EXPECT_FALSE(read.config->keys);
  EXPECT_THAT(read.config->spec, Not(HasSubstr("s3cret")));
}

TEST(SharedConfig, SaysWhatIsWrongAndWhere) {
  struct Case {
    std::string_view yaml, words;
  };
  for (const Case& one :
       {Case{"{ }", "gateway.yaml:1:9: shared: name one store"}, Case{"{ rediss: x }", "there are: redis"},
        Case{"{ redis: 'redis://:${PASSWORD}@cache/x' }", "the database is a number"},
        Case{"{ redis: 'rediss://:${PASSWORD}@cache' }", "TLS to Redis is not built in"},
        Case{"{ redis: redis://cache, slice: 80% }", "shared.slice: from 0.01% to 50%"},
        Case{"{ redis: redis://cache, every: 1ms }", "shared.every: from 10ms to 2s"},
        Case{"{ redis: redis://cache, timeout: 1h }", "shared.timeout: from 10ms to 10s"},
        Case{"{ redis: redis://cache, gateways: 0 }", "shared.gateways"},
        Case{"{ redis: redis://cache, prefix: '{a}' }", "shared.prefix: up to 64 letters"},
        Case{"{ redis: redis://cache, user: gate }", "a user needs a `password`"},
        Case{"{ redis: redis://cache, evry: 1s }", "evry"}, Case{"redis://cache", "expected a map"}}) {
    Read read(fmt::format("shared: {}\n", one.yaml));
    EXPECT_THAT(read.report, HasSubstr(one.words)) << one.yaml;
    EXPECT_THAT(read.report, Not(HasSubstr("s3cret")));
  }
}

}  // namespace
}  // namespace penstock::ext
