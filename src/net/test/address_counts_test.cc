#include "net/address_counts.h"

#include <gtest/gtest.h>

namespace penstock::net {
namespace {

std::uint64_t client(std::string_view text) {
  auto endpoint = parse_endpoint(*parse_host_port(text));
  return client_of(*endpoint);
}

TEST(ClientOf, IsTheAddressWithoutItsPort) {
  EXPECT_EQ(client("192.0.2.1:1000"), client("192.0.2.1:2000"));
  EXPECT_NE(client("192.0.2.1:1000"), client("192.0.2.2:1000"));
}

TEST(ClientOf, IsANetworkOfIpv6AndTheAddressOfAMappedOne) {
  EXPECT_EQ(client("[2001:db8:0:1::1]:1"), client("[2001:db8:0:1:ffff::2]:1"));
  EXPECT_NE(client("[2001:db8:0:1::1]:1"), client("[2001:db8:0:2::1]:1"));
  EXPECT_EQ(client("[::ffff:192.0.2.1]:1"), client("192.0.2.1:1"));
}

TEST(ClientOf, IsNobodyForALocalSocket) { EXPECT_EQ(client_of(Endpoint{}), 0U); }

TEST(AddressCounts, CountsEachClientAndForgetsWhoLeft) {
  auto counts = std::make_unique<AddressCounts>();
  EXPECT_EQ(counts->add(7), 1U);
  EXPECT_EQ(counts->add(7), 2U);
  EXPECT_EQ(counts->add(8), 1U);
  counts->remove(7);
  EXPECT_EQ(counts->count(7), 1U);
  EXPECT_EQ(counts->count(8), 1U);
  EXPECT_EQ(counts->count(9), 0U);
}

TEST(AddressCounts, NeverCountsTooLittleWhateverTheCrowd) {
  auto counts = std::make_unique<AddressCounts>();
  for (std::uint64_t other = 1; other <= 20'000; ++other) counts->add(other);
  std::uint64_t too_many = 0;
  for (std::uint64_t other = 1; other <= 20'000; ++other) {
    EXPECT_GE(counts->count(other), 1U);
    too_many += counts->count(other) > 10;
  }
  EXPECT_LT(too_many, 200U);
}

TEST(AddressCounts, NobodyIsNeverCounted) {
  auto counts = std::make_unique<AddressCounts>();
  EXPECT_EQ(counts->add(0), 0U);
  EXPECT_EQ(counts->add(0), 0U);
  counts->remove(0);
}

}  // namespace
}  // namespace penstock::net
