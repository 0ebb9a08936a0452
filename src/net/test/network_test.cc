#include "net/network.h"

#include <gtest/gtest.h>

namespace penstock::net {
namespace {

Endpoint at(const std::string& host) { return *parse_endpoint({host, 80}); }

bool covers(std::string_view network, const std::string& host) { return Network::parse(network)->contains(at(host)); }

TEST(Network, CoversItsBlockAndNothingElse) {
  EXPECT_TRUE(covers("10.0.0.0/8", "10.255.1.2"));
  EXPECT_FALSE(covers("10.0.0.0/8", "11.0.0.0"));
  EXPECT_TRUE(covers("192.0.2.128/25", "192.0.2.129"));
  EXPECT_FALSE(covers("192.0.2.128/25", "192.0.2.127"));
  EXPECT_TRUE(covers("192.0.2.7", "192.0.2.7"));
  EXPECT_FALSE(covers("192.0.2.7", "192.0.2.6"));
  EXPECT_TRUE(covers("2001:db8::/33", "2001:db8:7fff::1"));
  EXPECT_FALSE(covers("2001:db8::/33", "2001:db8:8000::1"));
  EXPECT_TRUE(covers("0.0.0.0/0", "203.0.113.9"));
  EXPECT_FALSE(covers("0.0.0.0/0", "2001:db8::1"));
}

TEST(Network, TakesAMappedAddressForWhatItIs) {
  EXPECT_TRUE(covers("10.0.0.0/8", "::ffff:10.1.2.3"));
  EXPECT_FALSE(covers("10.0.0.0/8", "::10.1.2.3"));
}

TEST(Network, LocalSocketsAreANetworkOfTheirOwn) {
  EXPECT_TRUE(Network::parse("unix")->contains(Endpoint{}));
  EXPECT_FALSE(Network::parse("unix")->contains(at("127.0.0.1")));
  EXPECT_FALSE(Network::parse("::/0")->contains(Endpoint{}));
}

TEST(Network, RefusesWhatIsNone) {
  for (const char* bad : {"", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/-1", "10.0.0.0/8x", "10.0.0.1/8", "::/129",
                          "example.com", "10.0.0", "10.0.0.0/8/8"}) {
    EXPECT_FALSE(Network::parse(bad)) << bad;
  }
}

}  // namespace
}  // namespace penstock::net
