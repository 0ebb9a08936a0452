#include "net/egress.h"

#include <netinet/in.h>

namespace penstock::net {
namespace {

struct BuiltIn {
  std::string_view network;
  std::string_view why;
};

// Metadata services answer whoever can reach them with the machine's own credentials. Special networks: RFC 6890.
constexpr std::array<BuiltIn, 13> kDenied{{
    {"169.254.0.0/16", "169.254.0.0/16 is link-local, where clouds keep their metadata service"},
    {"fe80::/10", "fe80::/10 is link-local"},
    {"fec0::/10", "fec0::/10 is site-local, which is no longer used"},
    {"fd00:ec2::/32", "fd00:ec2::/32 holds the metadata service of a cloud"},
    {"fd20:ce::254", "it is the metadata service of a cloud"},
    {"100.100.100.200", "it is the metadata service of a cloud"},
    {"168.63.129.16", "it is the platform service of a cloud"},
    {"192.0.0.192", "it is the metadata service of a cloud"},
    {"0.0.0.0/8", "0.0.0.0/8 is no host's"},
    {"::", "it is no host's"},
    {"224.0.0.0/4", "224.0.0.0/4 is multicast"},
    {"ff00::/8", "ff00::/8 is multicast"},
    {"240.0.0.0/4", "240.0.0.0/4 is reserved or broadcast"},
}};

constexpr std::size_t kLastFour = 12;

Endpoint ipv4(const std::uint8_t* bytes) {
  Endpoint endpoint;
  auto& v4 = reinterpret_cast<sockaddr_in&>(endpoint.storage);
  v4.sin_family = AF_INET;
  std::memcpy(&v4.sin_addr, bytes, 4);
  endpoint.length = sizeof(sockaddr_in);
  return endpoint;
}

// The IPv4 address inside an IPv6 one: compatible (RFC 4291), NAT64 (RFC 6052), 6to4 (RFC 3056). A mapped one is
// compared as IPv4 anyway.
std::optional<Endpoint> embedded(const Endpoint& endpoint) {
  static constexpr std::array<std::uint8_t, kLastFour> kNat64{0x00, 0x64, 0xff, 0x9b};
  static constexpr std::array<std::uint8_t, kLastFour> kCompatible{};
  if (endpoint.storage.ss_family != AF_INET6) return std::nullopt;
  auto bytes = endpoint.address();
  auto begins_with = [&](const auto& prefix) { return std::equal(prefix.begin(), prefix.end(), bytes.begin()); };
  if (begins_with(kNat64)) return ipv4(bytes.data() + kLastFour);
  if (bytes[0] == 0x20 && bytes[1] == 0x02) return ipv4(bytes.data() + 2);
  // ::1 and its neighbours are no IPv4 addresses.
  if (begins_with(kCompatible) && bytes[kLastFour] != 0) return ipv4(bytes.data() + kLastFour);
  return std::nullopt;
}

struct Shared {
  std::mutex mutex;
  std::shared_ptr<const Egress> egress = std::make_shared<const Egress>();
};
Shared& shared() {
  static Shared one;
  return one;
}

}  // namespace

Egress::Egress(const std::vector<Network>& allow, const std::vector<Network>& deny) {
  for (const Network& network : allow) rules_.push_back({network, true, ""});
  for (const Network& network : deny) rules_.push_back({network, false, "it is denied by `egress`"});
  for (const BuiltIn& one : kDenied) rules_.push_back({*Network::parse(one.network), false, one.why});
}

const Egress::Rule* Egress::decide(const Endpoint& endpoint) const {
  auto found =
      std::find_if(rules_.begin(), rules_.end(), [&](const Rule& rule) { return rule.network.contains(endpoint); });
  return found == rules_.end() ? nullptr : &*found;
}

Result<void> Egress::permits(const Endpoint& endpoint) const {
  if (endpoint.is_local_socket()) return {};
  const Rule* rule = decide(endpoint);
  std::optional<Endpoint> inner = embedded(endpoint);
  if (inner && (rule == nullptr || rule->allow)) rule = decide(*inner);
  if (rule == nullptr || rule->allow) return {};
  return fail(Errc::permission_denied, fmt::format("{} is not called: {}; `egress: {{ allow: [...] }}` can permit it",
                                                   endpoint.text(), rule->why));
}

void Egress::use(Egress egress) {
  auto made = std::make_shared<const Egress>(std::move(egress));
  std::lock_guard lock(shared().mutex);
  shared().egress = std::move(made);
}

Result<void> Egress::check(const Endpoint& endpoint) {
  std::shared_ptr<const Egress> egress;
  {
    std::lock_guard lock(shared().mutex);
    egress = shared().egress;
  }
  return egress->permits(endpoint);
}

}  // namespace penstock::net
