#include "http/forwarded.h"

#include <gtest/gtest.h>

namespace penstock::http {
namespace {

struct Forwarded : testing::Test {
  Peer peer{*net::parse_endpoint({"10.0.0.1", 999}),
            std::make_shared<const std::vector<net::Network>>(
                std::vector{*net::Network::parse("10.0.0.0/8"), *net::Network::parse("2001:db8:1::/48")}),
            {}};

  Client read(const std::vector<std::pair<std::string, std::string>>& lines) {
    fields.clear();
    fields.add("Host", "inner");
    for (const auto& [name, value] : lines) fields.add(name, value);
    Request request;
    request.fields = &fields;
    return read_forwarded(request, peer);
  }
  std::string who(const std::vector<std::pair<std::string, std::string>>& lines) { return read(lines).endpoint.text(); }
  Fields fields;
};

TEST_F(Forwarded, TakesTheLastAddressThatIsNotTrusted) {
  EXPECT_EQ(who({}), "10.0.0.1:999");
  EXPECT_EQ(who({{"X-Forwarded-For", "203.0.113.1"}}), "203.0.113.1:0");
  EXPECT_EQ(who({{"X-Forwarded-For", "6.6.6.6, 203.0.113.1,10.0.0.2 , 10.0.0.3"}}), "203.0.113.1:0");
  EXPECT_EQ(who({{"X-Forwarded-For", "6.6.6.6, 203.0.113.1"}, {"x-forwarded-for", "10.0.0.2"}}), "203.0.113.1:0");
  EXPECT_EQ(who({{"X-Forwarded-For", "10.0.0.5, 10.0.0.2"}}), "10.0.0.5:0");
  EXPECT_EQ(who({{"X-Forwarded-For", "[2001:db8::1]:77, 2001:db8:1::5"}}), "[2001:db8::1]:77");
}

TEST_F(Forwarded, StopsAtWhatItCannotRead) {
  EXPECT_EQ(who({{"X-Forwarded-For", "203.0.113.1, unknown"}}), "10.0.0.1:999");
  EXPECT_EQ(who({{"X-Forwarded-For", "203.0.113.1, unknown, 10.0.0.2"}}), "10.0.0.2:0");
  EXPECT_EQ(who({{"X-Forwarded-For", ""}}), "10.0.0.1:999");
  EXPECT_EQ(who({{"X-Forwarded-For", "localhost"}}), "10.0.0.1:999");
  EXPECT_EQ(who({{"Forwarded", "for=_secret"}}), "10.0.0.1:999");
  EXPECT_EQ(who({{"Forwarded", "proto=https"}}), "10.0.0.1:999");
}

TEST_F(Forwarded, ReadsTheStandardField) {
  EXPECT_EQ(who({{"Forwarded", "for=6.6.6.6, For=\"[2001:db8::1]:4711\" ; proto=https, for=10.0.0.2"}}),
            "[2001:db8::1]:4711");
  Client client = read({{"Forwarded", "for=203.0.113.1;proto=https;host=\"example.com\", for=10.0.0.2;proto=http"}});
  EXPECT_TRUE(client.secure);
  EXPECT_EQ(client.host, "example.com");
  EXPECT_EQ(who({{"Forwarded", "for=\"203.0.113.1, 6.6.6.6\""}}), "10.0.0.1:999") << "a comma in quotes parts nothing";
}

TEST_F(Forwarded, TakesProtocolAndHostOfTheNearestProxy) {
  Client client = read({{"X-Forwarded-For", "203.0.113.1"},
                        {"X-Forwarded-Proto", "http, https"},
                        {"X-Forwarded-Host", "evil.example, good.example"}});
  EXPECT_TRUE(client.secure);
  EXPECT_EQ(client.host, "good.example");
  EXPECT_EQ(read({}).host, "inner");
}

TEST_F(Forwarded, BelievesNeitherOfTwoThatDisagree) {
  EXPECT_EQ(who({{"Forwarded", "for=203.0.113.1"}, {"X-Forwarded-For", "203.0.113.2"}}), "10.0.0.1:999");
  EXPECT_EQ(who({{"Forwarded", "for=203.0.113.1"}, {"X-Forwarded-For", "203.0.113.1"}}), "203.0.113.1:0");
}

TEST_F(Forwarded, QuotesOfAClientHideNothingInFieldsWithoutQuotedStrings) {
  EXPECT_EQ(who({{"X-Forwarded-For", "6.6.6.6, \", 203.0.113.1"}}), "203.0.113.1:0");
  EXPECT_EQ(who({{"X-Forwarded-For", "6.6.6.6, \"x, 203.0.113.1, 10.0.0.2"}}), "203.0.113.1:0");
  EXPECT_EQ(who({{"X-Forwarded-For", "6.6.6.6\\, 203.0.113.1"}}), "203.0.113.1:0");
  Client client = read({{"X-Forwarded-For", "203.0.113.1"},
                        {"X-Forwarded-Proto", "\", http"},
                        {"X-Forwarded-Host", "\"evil.example, good.example"}});
  EXPECT_FALSE(client.secure);
  EXPECT_EQ(client.host, "good.example");
}

TEST_F(Forwarded, DoesNotBelieveAFieldWithAnOpenQuote) {
  EXPECT_EQ(who({{"Forwarded", "for=6.6.6.6;x=\", for=203.0.113.1"}}), "10.0.0.1:999");
  EXPECT_EQ(who({{"Forwarded", "for=6.6.6.6;x=\", for=\"[2001:db8::1]:4711\""}}), "10.0.0.1:999");
  EXPECT_EQ(who({{"Forwarded", "for=6.6.6.6;x=\"\\, for=\"[2001:db8::1]:4711\""}}), "10.0.0.1:999");
  EXPECT_EQ(who({{"Forwarded", "for=6.6.6.6;x=\""}, {"Forwarded", "for=203.0.113.1"}}), "203.0.113.1:0");
  EXPECT_EQ(who({{"Forwarded", "for=6.6.6.6;x=\""}, {"Forwarded", "for=10.0.0.2"}}), "10.0.0.2:0");
}

TEST_F(Forwarded, GoesNoFurtherThanManyHops) {
  std::string many = "203.0.113.1";
  for (int i = 0; i < 100; ++i) many += ", 10.0.0.9";
  EXPECT_EQ(who({{"X-Forwarded-For", many}}), "10.0.0.9:0");
}

}  // namespace
}  // namespace penstock::http
