#include <gtest/gtest.h>

#include "quota/addresses.h"
#include "quota/book.h"

namespace penstock::quota {
namespace {

Rules rules(std::string_view text) { return *parse_rules(text); }

TEST(Addresses, HaveNoAccountsWithoutRules) {
  Book book;
  EXPECT_EQ(book.address_account("10.0.0.1"), nullptr);
  book.set_address_rules(rules("limits: { rpm: 60 }"));
  EXPECT_NE(book.address_account("10.0.0.1"), nullptr);
  book.set_address_rules({});
  EXPECT_EQ(book.address_account("10.0.0.1"), nullptr);
}

TEST(Addresses, GroupsByTheNetworkOfOneCustomer) {
  Book book;
  book.set_address_rules(rules("limits: { rpm: 60 }"));
  Account* v4 = book.address_account("192.0.2.7");
  EXPECT_EQ(v4, book.address_account("::ffff:192.0.2.7"));
  EXPECT_NE(v4, book.address_account("192.0.2.8"));
  Account* v6 = book.address_account("2001:db8:1:2::1");
  EXPECT_EQ(v6, book.address_account("2001:db8:1:2:ffff::9"));
  EXPECT_EQ(v6, book.address_account("2001:db8:1:2::1%eth0"));
  EXPECT_NE(v6, book.address_account("2001:db8:1:3::1"));
  EXPECT_EQ(v6->id(), "address:2001:db8:1:2::/64");
  EXPECT_EQ(v4->shown(), "the address 192.0.2.7");
  for (const char* bad :
       {"", "unix", "1.2.3", "1.2.3.4.5", "::g", "99999999999999999999999999999999999999999999999999"}) {
    EXPECT_EQ(book.address_account(bad), nullptr) << bad;
  }
}

TEST(Addresses, ForgetsOnlyThoseWithNothingUsed) {
  Addresses addresses(16);  // one for each shard
  addresses.set_plan(std::make_shared<const Plan>(rules("limits: { requests: 10/s }")));
  base::SteadyTime now{std::chrono::hours(1)};
  std::vector<Account*> busy;
  for (int i = 0; i < 200; ++i) {
    Account* account = addresses.find(fmt::format("10.0.0.{}", i), now);
    ASSERT_NE(account, nullptr);
    Meters& meters = Meters::of(*account);
    Tightest none;
    if (meters.rates[0].meter.remaining(now, {RateLimit::Unit::requests, 10, std::chrono::seconds(1)}) > 0) {
      meters.charge({}, Now{now, 0}, {}, false, none);
    }
    busy.push_back(account);
  }
  std::vector<std::shared_ptr<Account>> known;
  addresses.list("", known);
  EXPECT_LE(known.size(), 16U);
  // Those that hold something stay; all others share one account.
  EXPECT_EQ(addresses.find("10.0.0.199", now)->id(), "address:all others");
  for (auto& account : known) --Meters::of(*account).holds;
  now += std::chrono::seconds(2);
  EXPECT_EQ(addresses.find("10.0.0.199", now)->id(), "address:10.0.0.199");
}

}  // namespace
}  // namespace penstock::quota
