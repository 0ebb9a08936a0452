#include "net/egress.h"

#include <gmock/gmock.h>

#include "net/connector.h"
#include "rt/await.h"

namespace penstock::net {
namespace {

using testing::HasSubstr;

Endpoint at(const std::string& host) { return *parse_endpoint({host, 80}); }
std::vector<Network> networks(const std::vector<std::string>& texts) {
  std::vector<Network> list;
  for (const std::string& text : texts) list.push_back(*Network::parse(text));
  return list;
}

TEST(Egress, DeniesLinkLocalMetadataAndWhatIsNoHost) {
  Egress egress;
  for (const char* denied :
       {"169.254.169.254", "169.254.0.1", "fe80::1", "fd00:ec2::254", "fd20:ce::254", "100.100.100.200", "224.0.0.1",
        "ff02::1", "0.0.0.0", "::", "255.255.255.255", "168.63.129.16", "192.0.0.192"}) {
    auto verdict = egress.permits(at(denied));
    ASSERT_FALSE(verdict.has_value()) << denied;
    EXPECT_EQ(verdict.error().code, Errc::permission_denied);
  }
}

TEST(Egress, AllowsTheNetworksOfTheEdge) {
  Egress egress;
  for (const char* allowed : {"127.0.0.1", "::1", "10.0.0.1", "192.168.1.1", "172.16.0.9", "fd12::1", "100.64.0.1",
                              "8.8.8.8", "2606:4700::1"})
    EXPECT_TRUE(egress.permits(at(allowed)).has_value()) << allowed;
}

TEST(Egress, SeesTheIpv4AddressInsideAnIpv6One) {
  Egress egress;
  for (const char* denied : {"::ffff:169.254.169.254", "::ffff:a9fe:a9fe", "64:ff9b::169.254.169.254",
                             "2002:a9fe:a9fe::1", "::169.254.169.254"})
    EXPECT_FALSE(egress.permits(at(denied)).has_value()) << denied;
  EXPECT_TRUE(egress.permits(at("::ffff:10.0.0.1")).has_value());
  EXPECT_TRUE(egress.permits(at("64:ff9b::8.8.8.8")).has_value());
}

TEST(Egress, AllowsBeforeItDenies) {
  Egress egress(networks({"10.1.0.0/16", "169.254.169.254"}), networks({"0.0.0.0/0", "::/0"}));
  EXPECT_TRUE(egress.permits(at("10.1.9.9")).has_value());
  EXPECT_FALSE(egress.permits(at("10.2.0.1")).has_value());
  EXPECT_FALSE(egress.permits(at("::1")).has_value());
  EXPECT_TRUE(egress.permits(at("169.254.169.254")).has_value());
  EXPECT_FALSE(egress.permits(at("169.254.169.253")).has_value());
}

TEST(Egress, ALocalSocketIsNoAddress) {
  EXPECT_TRUE(Egress({}, networks({"0.0.0.0/0", "::/0"})).permits(*local_endpoint("/run/x.sock")).has_value());
}

TEST(Egress, SaysWhichRuleRefused) {
  Egress egress({}, networks({"10.0.0.0/8"}));
  EXPECT_THAT(egress.permits(at("10.1.2.3")).error().detail,
              HasSubstr("10.1.2.3:80 is not called: it is denied by `egress`"));
  EXPECT_THAT(egress.permits(at("169.254.169.254")).error().detail, HasSubstr("169.254.0.0/16 is link-local"));
}

rt::Task<void> attempt(rt::Loop& loop, HostPort to, Result<std::unique_ptr<Stream>>& out) {
  auto stream = co_await connect(loop, std::move(to), std::chrono::steady_clock::now() + std::chrono::seconds(5));
  out = std::move(stream);
  loop.stop();
}

TEST(Egress, IsAskedBeforeAnyConnection) {
  rt::Loop loop;
  Result<std::unique_ptr<Stream>> out = nullptr;
  rt::spawn(attempt(loop, {"169.254.169.254", 80}, out));
  loop.run();
  ASSERT_FALSE(out.has_value());
  EXPECT_EQ(out.error().code, Errc::permission_denied);
}

}  // namespace
}  // namespace penstock::net
