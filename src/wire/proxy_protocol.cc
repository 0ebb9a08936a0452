#include "wire/proxy_protocol.h"

#include <arpa/inet.h>

#include <charconv>

namespace penstock::wire {
namespace {

constexpr std::string_view kSignature1 = "PROXY";
constexpr std::string_view kSignature2("\r\n\r\n\0\r\nQUIT\n", 12);
constexpr std::size_t kFixedBytes2 = 16;

using Read = std::expected<ProxyHeader, std::string>;

std::uint8_t byte_at(std::string_view bytes, std::size_t at) { return static_cast<std::uint8_t>(bytes[at]); }

std::uint16_t number_at(std::string_view bytes, std::size_t at) {
  return static_cast<std::uint16_t>(byte_at(bytes, at) << 8 | byte_at(bytes, at + 1));
}

// The next word of a line of version 1, which has exactly one space before it; empty when there is none.
std::string_view next_word(std::string_view& line) {
  if (!line.starts_with(' ')) return {};
  line.remove_prefix(1);
  std::string_view word = line.substr(0, line.find(' '));
  line.remove_prefix(word.size());
  return word;
}

// Digits without a sign and without leading zeros.
bool read_port(std::string_view text, std::uint16_t& port) {
  if (text.empty() || text.size() > 5 || (text.size() > 1 && text.front() == '0')) return false;
  unsigned value = 0;
  auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), value);
  port = static_cast<std::uint16_t>(value);
  return ec == std::errc{} && end == text.data() + text.size() && value <= 65535;
}

bool read_address(int family, std::string_view text, std::uint8_t* into) {
  std::string terminated(text.substr(0, 64));
  return inet_pton(family, terminated.c_str(), into) == 1;
}

// PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\r\n
Read read_line(std::string_view bytes) {
  constexpr std::string_view kBad = "the PROXY line is malformed";
  std::size_t end = bytes.substr(0, kProxyLineBytesMax).find('\n');
  if (end == std::string_view::npos) {
    if (bytes.size() >= kProxyLineBytesMax) return std::unexpected("the PROXY line is longer than 107 bytes");
    return ProxyHeader{};
  }
  if (bytes[end - 1] != '\r') return std::unexpected(std::string(kBad));
  std::string_view line = bytes.substr(kSignature1.size(), end - 1 - kSignature1.size());
  ProxyHeader header;
  header.size = end + 1;
  std::string_view protocol = next_word(line);
  if (protocol == "UNKNOWN") return header;
  bool v4 = protocol == "TCP4";
  if (!v4 && protocol != "TCP6") return std::unexpected(std::string(kBad));
  std::string_view source = next_word(line);
  std::string_view destination = next_word(line);
  std::string_view source_port = next_word(line);
  std::string_view destination_port = next_word(line);
  std::array<std::uint8_t, 16> ignored{};
  std::uint16_t ignored_port = 0;
  int family = v4 ? AF_INET : AF_INET6;
  if (!line.empty() || !read_address(family, source, header.client.source.data()) ||
      !read_address(family, destination, ignored.data()) || !read_port(source_port, header.client.port) ||
      !read_port(destination_port, ignored_port)) {
    return std::unexpected(std::string(kBad));
  }
  header.client.family = v4 ? ProxiedAddress::Family::ipv4 : ProxiedAddress::Family::ipv6;
  return header;
}

// 12 bytes of signature, version and command, family and transport, length, then addresses and extensions.
Read read_binary(std::string_view bytes) {
  if (bytes.size() < kFixedBytes2) return ProxyHeader{};
  std::uint8_t version_command = byte_at(bytes, 12);
  std::uint8_t family_transport = byte_at(bytes, 13);
  std::size_t length = number_at(bytes, 14);
  if (version_command >> 4 != 2) return std::unexpected("the PROXY header has a version that is not known");
  int command = version_command & 15;
  if (command > 1) return std::unexpected("the PROXY header has a command that is not known");
  if (kFixedBytes2 + length > kProxyHeaderBytesMax)
    return std::unexpected("the PROXY header is longer than 4096 bytes");
  // Families: unspecified, IPv4, IPv6, local sockets. Transports: unspecified, stream, datagram.
  int family = family_transport >> 4;
  if (family > 3 || (family_transport & 15) > 2)
    return std::unexpected("the PROXY header has an address family that is not known");
  constexpr std::array<std::size_t, 4> kAddressBytes{0, 12, 36, 216};
  bool proxied = command == 1;
  if (proxied && length < kAddressBytes[static_cast<std::size_t>(family)])
    return std::unexpected("the PROXY header is too short for its addresses");
  if (bytes.size() < kFixedBytes2 + length) return ProxyHeader{};
  ProxyHeader header;
  header.size = kFixedBytes2 + length;
  bool stream = (family_transport & 15) == 1;
  if (!proxied || !stream || (family != 1 && family != 2)) return header;
  bool v4 = family == 1;
  std::size_t address_bytes = v4 ? 4 : 16;
  for (std::size_t i = 0; i < address_bytes; ++i) header.client.source[i] = byte_at(bytes, kFixedBytes2 + i);
  header.client.port = number_at(bytes, kFixedBytes2 + 2 * address_bytes);
  header.client.family = v4 ? ProxiedAddress::Family::ipv4 : ProxiedAddress::Family::ipv6;
  return header;
}

bool begins_alike(std::string_view bytes, std::string_view signature) {
  return signature.starts_with(bytes.substr(0, signature.size()));
}

}  // namespace

Read read_proxy_header(std::string_view bytes) {
  if (bytes.empty()) return ProxyHeader{};
  bool whole1 = bytes.size() >= kSignature1.size();
  bool whole2 = bytes.size() >= kSignature2.size();
  if (begins_alike(bytes, kSignature1)) return whole1 ? read_line(bytes) : ProxyHeader{};
  if (begins_alike(bytes, kSignature2)) return whole2 ? read_binary(bytes) : ProxyHeader{};
  return std::unexpected("the connection does not begin with a PROXY header");
}

}  // namespace penstock::wire
