#include "wire/proxy_protocol.h"

#include <gtest/gtest.h>

namespace penstock::wire {
namespace {

using Family = ProxiedAddress::Family;

std::string v2(std::uint8_t command, std::uint8_t family, std::string_view payload) {
  std::string bytes("\r\n\r\n\0\r\nQUIT\n", 12);
  bytes += static_cast<char>(command);
  bytes += static_cast<char>(family);
  bytes += static_cast<char>(payload.size() >> 8);
  bytes += static_cast<char>(payload.size() & 0xff);
  return bytes.append(payload);
}

const std::string kAddresses4("\xC0\x00\x02\x07\xC6\x33\x64\x01\xDC\x04\x01\xBB", 12);
const std::string kAddresses6 = std::string("\x20\x01\x0d\xb8", 4) + std::string(11, '\0') + "\x01" +
                                std::string(15, '\0') + "\x02" + std::string("\x12\x34\x01\xBB", 4);

std::string text_of(const ProxiedAddress& address) {
  if (address.family == Family::none) return "none";
  std::string text = address.family == Family::ipv4 ? "4" : "6";
  for (std::size_t i = 0; i < (address.family == Family::ipv4 ? 4U : 16U); ++i)
    text += fmt::format(".{}", address.source[i]);
  return text + fmt::format(":{}", address.port);
}

// What every prefix and the whole say: nothing before the last byte of the header, the same address after it.
std::string read_all(const std::string& header) {
  for (std::size_t size = 0; size < header.size(); ++size) {
    auto part = read_proxy_header(std::string_view(header).substr(0, size));
    EXPECT_TRUE(part.has_value() && part->size == 0) << size << " of " << header.size();
  }
  auto alone = read_proxy_header(header);
  auto followed = read_proxy_header(header + "GET / HTTP/1.1\r\n");
  if (!alone || !followed) return alone ? "differs" : alone.error();
  EXPECT_EQ(alone->size, header.size());
  EXPECT_EQ(followed->size, header.size());
  EXPECT_EQ(text_of(alone->client), text_of(followed->client));
  return text_of(alone->client);
}

TEST(ProxyProtocol, ReadsLinesOfVersion1InAnySplit) {
  EXPECT_EQ(read_all("PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\r\n"), "4.192.0.2.7:56324");
  EXPECT_EQ(read_all("PROXY TCP6 2001:db8::1 ::2 4660 443\r\n"), "6.32.1.13.184.0.0.0.0.0.0.0.0.0.0.0.1:4660");
  EXPECT_EQ(read_all("PROXY UNKNOWN\r\n"), "none");
  EXPECT_EQ(read_all("PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n"), "none");
}

TEST(ProxyProtocol, ReadsVersion2InAnySplit) {
  EXPECT_EQ(read_all(v2(0x21, 0x11, kAddresses4)), "4.192.0.2.7:56324");
  EXPECT_EQ(read_all(v2(0x21, 0x21, kAddresses6)), "6.32.1.13.184.0.0.0.0.0.0.0.0.0.0.0.1:4660");
}

TEST(ProxyProtocol, SkipsExtensionsOfVersion2) {
  std::string tlv = std::string("\x04\x00\x03", 3) + "abc";
  EXPECT_EQ(read_all(v2(0x21, 0x11, kAddresses4 + tlv)), "4.192.0.2.7:56324");
  EXPECT_EQ(read_all(v2(0x21, 0x11, kAddresses4 + std::string(4000, 'x'))), "4.192.0.2.7:56324");
}

TEST(ProxyProtocol, LocalAndOtherFamiliesNameNobody) {
  EXPECT_EQ(read_all(v2(0x20, 0x00, "")), "none");
  EXPECT_EQ(read_all(v2(0x20, 0x11, kAddresses4)), "none") << "LOCAL: the balancer's own health check";
  EXPECT_EQ(read_all(v2(0x21, 0x00, "")), "none");
  EXPECT_EQ(read_all(v2(0x21, 0x12, kAddresses4)), "none") << "a datagram";
  EXPECT_EQ(read_all(v2(0x21, 0x31, std::string(216, '/'))), "none") << "local sockets";
}

TEST(ProxyProtocol, RefusesWhatIsNoHeader) {
  for (const std::string& bad : {
           std::string("GET / HTTP/1.1\r\n"),
           std::string("proxy TCP4 192.0.2.7 198.51.100.1 56324 443\r\n"),
           std::string("PROXY  TCP4 192.0.2.7 198.51.100.1 56324 443\r\n"),
           std::string("PROXY TCP4 192.0.2.7 198.51.100.1 56324\r\n"),
           std::string("PROXY TCP4 192.0.2.7 198.51.100.1 56324 443 \r\n"),
           std::string("PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\n"),
           std::string("PROXY TCP4 192.0.2.777 198.51.100.1 56324 443\r\n"),
           std::string("PROXY TCP4 2001:db8::1 ::2 1 2\r\n"),
           std::string("PROXY TCP4 192.0.2.7 198.51.100.1 65536 443\r\n"),
           std::string("PROXY TCP4 192.0.2.7 198.51.100.1 +1 443\r\n"),
           std::string("PROXY TCP4 192.0.2.7 198.51.100.1 01 443\r\n"),
           std::string("PROXY UDP4 192.0.2.7 198.51.100.1 1 2\r\n"),
           std::string("PROXYTCP4 192.0.2.7 198.51.100.1 1 2\r\n"),
           "PROXY UNKNOWN " + std::string(100, 'x'),
           std::string("\r\n\r\nGET"),
           v2(0x11, 0x11, kAddresses4),
           v2(0x22, 0x11, kAddresses4),
           v2(0x21, 0x41, kAddresses4),
           v2(0x21, 0x13, kAddresses4),
           v2(0x21, 0x11, kAddresses4.substr(1)),
           v2(0x21, 0x21, kAddresses4),
           v2(0x21, 0x11, std::string(4081, 'x')),
       }) {
    EXPECT_FALSE(read_proxy_header(bad)) << bad;
  }
}

}  // namespace
}  // namespace penstock::wire
