#include "net/egress.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <charconv>
#include <mutex>

namespace penstock::net {
namespace {

using Bytes = std::array<std::uint8_t, 16>;

constexpr std::size_t kMappedPrefixBytes = 12;

struct BuiltIn {
  std::string_view network;
  std::string_view why;
};

// Metadata services answer whoever can reach them with the machine's own credentials. Special networks: RFC 6890.
constexpr std::array<BuiltIn, 13> kDenied{{
    {"169.254.0.0/16", "link-local, where clouds keep their metadata service"},
    {"fe80::/10", "link-local"},
    {"fd00:ec2::/32", "the metadata service of a cloud"},
    {"fd20:ce::254", "the metadata service of a cloud"},
    {"100.100.100.200", "the metadata service of a cloud"},
    {"168.63.129.16", "the platform service of a cloud"},
    {"192.0.0.192", "the metadata service of a cloud"},
    {"0.0.0.0/8", "no address of a host"},
    {"::", "no address of a host"},
    {"224.0.0.0/4", "multicast"},
    {"ff00::/8", "multicast"},
    {"240.0.0.0/4", "reserved or broadcast"},
    {"fec0::/10", "site-local, deprecated"},
}};

Bytes mapped(const std::uint8_t* v4) {
  Bytes bytes{};
  bytes[10] = bytes[11] = 0xff;
  std::copy_n(v4, 4, bytes.begin() + kMappedPrefixBytes);
  return bytes;
}

bool is_mapped(const Bytes& bytes) {
  return std::all_of(bytes.begin(), bytes.begin() + 10, [](std::uint8_t b) { return b == 0; }) && bytes[10] == 0xff &&
         bytes[11] == 0xff;
}

Bytes bytes_of(const Endpoint& endpoint) {
  if (endpoint.storage.ss_family == AF_INET) {
    const auto& v4 = reinterpret_cast<const sockaddr_in&>(endpoint.storage);
    std::array<std::uint8_t, 4> raw{};
    std::memcpy(raw.data(), &v4.sin_addr, raw.size());
    return mapped(raw.data());
  }
  Bytes bytes{};
  std::memcpy(bytes.data(), &reinterpret_cast<const sockaddr_in6&>(endpoint.storage).sin6_addr, bytes.size());
  return bytes;
}

// The IPv4 address inside an IPv6 one: compatible (RFC 4291), NAT64 (RFC 6052), 6to4 (RFC 3056).
std::optional<Bytes> embedded(const Bytes& bytes) {
  static constexpr Bytes kNat64{0x00, 0x64, 0xff, 0x9b};
  if (std::equal(bytes.begin(), bytes.begin() + kMappedPrefixBytes, kNat64.begin()))
    return mapped(bytes.data() + kMappedPrefixBytes);
  if (bytes[0] == 0x20 && bytes[1] == 0x02) return mapped(bytes.data() + 2);
  bool compatible =
      std::all_of(bytes.begin(), bytes.begin() + kMappedPrefixBytes, [](std::uint8_t b) { return b == 0; });
  // ::1 and its neighbours are no IPv4 addresses.
  if (compatible && bytes[12] != 0) return mapped(bytes.data() + kMappedPrefixBytes);
  return std::nullopt;
}

// Zero behind the first `bits`.
bool is_prefix(const Bytes& bytes, unsigned bits) {
  for (unsigned i = bits; i < 128; ++i) {
    if ((bytes[i / 8] >> (7 - i % 8) & 1U) != 0) return false;
  }
  return true;
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

bool Network::contains(const Bytes& address) const {
  unsigned whole = bits / 8;
  if (!std::equal(bytes.begin(), bytes.begin() + whole, address.begin())) return false;
  unsigned rest = bits % 8;
  return rest == 0 || ((bytes[whole] ^ address[whole]) >> (8 - rest)) == 0;
}

Result<Network> parse_network(std::string_view text) {
  auto wrong = [&](std::string_view why) {
    return fail(Errc::invalid_argument, fmt::format("'{}' {}; write 10.0.0.0/8, 192.0.2.7 or fd00::/8", text, why));
  };
  std::size_t slash = text.find('/');
  auto endpoint = parse_endpoint({std::string(text.substr(0, slash)), 0});
  if (!endpoint || text.starts_with("localhost")) return wrong("is not a network");
  Network network;
  network.text = text;
  network.bytes = bytes_of(*endpoint);
  unsigned offset = endpoint->storage.ss_family == AF_INET ? 96 : 0;
  unsigned length = 128 - offset;
  if (slash != std::string_view::npos) {
    std::string_view digits = text.substr(slash + 1);
    auto [end, ec] = std::from_chars(digits.data(), digits.data() + digits.size(), length);
    if (ec != std::errc{} || end != digits.data() + digits.size() || length > 128 - offset)
      return wrong("has no valid prefix length");
  }
  network.bits = offset + length;
  if (!is_prefix(network.bytes, network.bits)) return wrong("has bits set behind its prefix length");
  return network;
}

Egress::Egress(const std::vector<Network>& allow, const std::vector<Network>& deny) {
  for (const Network& network : allow) rules_.push_back({network, true, ""});
  for (const Network& network : deny) rules_.push_back({network, false, "denied by `egress`"});
  for (const BuiltIn& one : kDenied) rules_.push_back({*parse_network(one.network), false, one.why});
}

const Egress::Rule* Egress::decide(const Bytes& address) const {
  const Rule* best = nullptr;
  for (const Rule& rule : rules_) {
    bool narrower = best == nullptr || rule.network.bits > best->network.bits;
    if (narrower && rule.network.contains(address)) best = &rule;
  }
  return best;
}

Result<void> Egress::permits(const Endpoint& endpoint) const {
  Bytes address = bytes_of(endpoint);
  const Rule* rule = decide(address);
  std::optional<Bytes> inner = is_mapped(address) ? std::nullopt : embedded(address);
  if (inner && (rule == nullptr || rule->allow)) rule = decide(*inner);
  if (rule == nullptr || rule->allow) return {};
  return fail(Errc::permission_denied,
              fmt::format("{} is not called: {} is {}; `egress: {{ allow: [...] }}` can permit it", endpoint.text(),
                          rule->network.text, rule->why));
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
