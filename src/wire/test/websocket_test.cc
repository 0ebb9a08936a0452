#include "wire/websocket.h"

#include <gtest/gtest.h>

#include "wire/websocket_handshake.h"

namespace penstock::wire {
namespace {

using Kind = WebSocketEvent::Kind;

// A client's frame, masked.
std::string masked(unsigned first, std::string_view payload, unsigned mask_bit = 0x80) {
  std::string out(1, static_cast<char>(first));
  if (payload.size() < 126) {
    out += static_cast<char>(mask_bit | payload.size());
  } else if (payload.size() < 65536) {
    out += static_cast<char>(mask_bit | 126U);
    out += static_cast<char>(payload.size() >> 8U);
    out += static_cast<char>(payload.size() & 0xFFU);
  } else {
    out += static_cast<char>(mask_bit | 127U);
    for (int shift = 56; shift >= 0; shift -= 8) out += static_cast<char>((payload.size() >> shift) & 0xFFU);
  }
  constexpr std::string_view kMask = "\x11\x22\x33\x44";
  if (mask_bit != 0) out += kMask;
  for (std::size_t i = 0; i < payload.size(); ++i)
    out += mask_bit != 0 ? static_cast<char>(payload[i] ^ kMask[i % 4]) : payload[i];
  return out;
}

// Everything that is read, as text: "text:hello close:1000:bye !1002".
std::string read(WebSocketReader& reader, std::string_view bytes, std::size_t piece) {
  static constexpr std::array<std::string_view, 5> kNames{"text", "binary", "ping", "pong", "close"};
  std::string seen;
  while (!bytes.empty()) {
    std::string_view some = bytes.substr(0, piece);
    bytes.remove_prefix(some.size());
    while (true) {
      auto event = reader.next(some);
      if (!event) return seen + fmt::format("!{}", event.error().code);
      if (!*event) break;
      seen += fmt::format("{}:", kNames[static_cast<std::size_t>((*event)->kind)]);
      if ((*event)->kind == Kind::close) seen += fmt::format("{}:", (*event)->code);
      seen += fmt::format("{} ", (*event)->data);
    }
  }
  return seen;
}

std::string served(std::string_view bytes, std::optional<DeflateAgreement> deflate = {},
                   std::uint64_t limit = 1 << 20) {
  WebSocketReader whole(WebSocketRole::server, limit, deflate);
  std::string seen = read(whole, bytes, bytes.size());
  for (std::size_t piece : {1U, 2U, 3U, 5U, 4096U}) {
    WebSocketReader cut(WebSocketRole::server, limit, deflate);
    EXPECT_EQ(read(cut, bytes, piece), seen) << "in pieces of " << piece;
  }
  return seen;
}

std::string close_frame(unsigned code, std::string_view reason = "") {
  std::string payload{static_cast<char>(code >> 8U), static_cast<char>(code & 0xFFU)};
  return masked(0x88, payload + std::string(reason));
}

TEST(WebSocketReader, ReadsMessagesOfAllLengths) {
  for (std::size_t size : {0U, 1U, 125U, 126U, 127U, 4096U, 65535U, 65536U, 70000U}) {
    std::string text(size, 'x');
    EXPECT_EQ(served(masked(0x81, text)), "text:" + text + " ");
    EXPECT_EQ(served(masked(0x82, text)), "binary:" + text + " ");
  }
}

TEST(WebSocketReader, PutsFragmentsTogetherAndLetsControlFramesPassBetween) {
  std::string bytes = masked(0x01, "Hel") + masked(0x89, "are you there") + masked(0x00, "") + masked(0x80, "lo") +
                      masked(0x8A, "") + close_frame(1000, "bye") + masked(0x81, "after the end");
  EXPECT_EQ(served(bytes), "ping:are you there text:Hello pong: close:1000:bye ");
}

TEST(WebSocketReader, RefusesWhatRfc6455Forbids) {
  EXPECT_EQ(served(masked(0xC1, "x")), "!1002") << "RSV1 without an extension";
  EXPECT_EQ(served(masked(0xA1, "x")), "!1002") << "RSV2";
  EXPECT_EQ(served(masked(0x91, "")), "!1002") << "RSV3";
  for (unsigned opcode : {3U, 4U, 5U, 6U, 7U, 11U, 12U, 13U, 14U, 15U})
    EXPECT_EQ(served(masked(0x80 | opcode, "")), "!1002") << opcode;
  EXPECT_EQ(served(masked(0x81, "plain", 0)), "!1002") << "not masked";
  EXPECT_EQ(served(masked(0x80, "x")), "!1002") << "a continuation of nothing";
  EXPECT_EQ(served(masked(0x01, "a") + masked(0x81, "b")), "!1002") << "a message within a message";
  EXPECT_EQ(served(masked(0x09, "")), "!1002") << "a fragmented ping";
  EXPECT_EQ(served(masked(0x89, std::string(126, 'x'))), "!1002") << "a long ping";
  EXPECT_EQ(served(std::string("\x81\xFE\x00\x05\x00\x00\x00\x00hello", 13)), "!1002")
      << "a length not at its shortest";
  EXPECT_EQ(served(std::string("\x82\xFF\x80\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00x", 15)), "!1002")
      << "a length of 64 bits";
}

TEST(WebSocketReader, KnowsWhichCloseCodesMayBeSent) {
  for (unsigned code : {1000U, 1001U, 1003U, 1007U, 1011U, 1014U, 3000U, 4999U})
    EXPECT_EQ(served(close_frame(code)), fmt::format("close:{}: ", code));
  for (unsigned code : {0U, 999U, 1004U, 1005U, 1006U, 1015U, 1016U, 2999U, 5000U, 65535U})
    EXPECT_EQ(served(close_frame(code)), "!1002") << code;
  EXPECT_EQ(served(masked(0x88, "")), "close:1005: ");
  EXPECT_EQ(served(masked(0x88, "x")), "!1002") << "half a code";
  EXPECT_EQ(served(close_frame(1000, "\xff")), "!1007");
}

TEST(WebSocketReader, ChecksTextAcrossFragments) {
  EXPECT_EQ(served(masked(0x01, "\xE2\x82") + masked(0x80, "\xAC")), "text:\u20ac ");
  EXPECT_EQ(served(masked(0x01, "ok") + masked(0x80, "\xE2\x82")), "!1007") << "ends within a character";
  for (std::string_view bad : {"\xC0\xAF", "\xED\xA0\x80", "\xF4\x90\x80\x80", "\x80", "\xF8\x88\x80\x80\x80"})
    EXPECT_EQ(served(masked(0x81, bad)), "!1007");
  EXPECT_EQ(served(masked(0x01, "\xFF")), "!1007") << "at once, not at the end of the message";
  EXPECT_EQ(served(masked(0x82, "\xFF")), "binary:\xFF ");
}

TEST(WebSocketReader, BoundsMessages) {
  EXPECT_EQ(served(masked(0x81, std::string(100, 'x')), {}, 100), "text:" + std::string(100, 'x') + " ");
  EXPECT_EQ(served(masked(0x81, std::string(101, 'x')), {}, 100), "!1009");
  EXPECT_EQ(served(masked(0x01, std::string(60, 'x')) + masked(0x80, std::string(41, 'x')), {}, 100), "!1009");
  std::string huge("\x82\xFF\x7F\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x00\x00\x00\x00x", 15);
  EXPECT_EQ(served(huge), "!1009");
}

TEST(WebSocketReader, ReadsTheCompressedExamplesOfRfc7692) {
  DeflateAgreement agreed;
  std::string hello("\xf2\x48\xcd\xc9\xc9\x07\x00", 7);
  EXPECT_EQ(served(masked(0xC1, hello), agreed), "text:Hello ");
  EXPECT_EQ(served(masked(0x41, hello.substr(0, 3)) + masked(0x80, hello.substr(3)), agreed), "text:Hello ");
  std::string again("\xf2\x00\x11\x00\x00", 5);
  EXPECT_EQ(served(masked(0xC1, hello) + masked(0xC1, again), agreed), "text:Hello text:Hello ") << "with its window";
  std::string stored("\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00", 11);
  EXPECT_EQ(served(masked(0xC1, stored), agreed), "text:Hello ");
  std::string final_block("\xf3\x48\xcd\xc9\xc9\x07\x00\x00", 8);
  EXPECT_EQ(served(masked(0xC1, final_block) + masked(0xC1, again), agreed), "text:Hello text:Hello ");
  EXPECT_EQ(served(masked(0xC1, std::string("\x00", 1)), agreed), "text: ");
  EXPECT_EQ(served(masked(0x81, "plain"), agreed), "text:plain ");
}

TEST(WebSocketReader, RefusesWrongCompression) {
  DeflateAgreement agreed{.server_no_context_takeover = true, .client_no_context_takeover = true};
  EXPECT_EQ(served(masked(0x41, "\xf2") + masked(0xC0, "\x48"), agreed), "!1002") << "RSV1 within a message";
  EXPECT_EQ(served(masked(0xC9, ""), agreed), "!1002") << "RSV1 on a ping";
  EXPECT_EQ(served(masked(0xC1, "\xff\xff\xff\xff"), agreed), "!1007");
  std::string again("\xf2\x00\x11\x00\x00", 5);
  std::string hello("\xf2\x48\xcd\xc9\xc9\x07\x00", 7);
  EXPECT_EQ(served(masked(0xC1, hello) + masked(0xC1, again), agreed), "text:Hello !1007") << "nothing to refer to";
}

TEST(WebSocketReader, StopsABombAtTheLimit) {
  std::string coded;
  ASSERT_TRUE(MessageDeflater(15).encode(std::string(8U << 20, '\0'), coded, true));
  ASSERT_LT(coded.size(), 64U << 10);
  WebSocketReader reader(WebSocketRole::server, 16U << 20, DeflateAgreement{});
  EXPECT_EQ(read(reader, masked(0xC2, coded), coded.size()), "!1009");
}

TEST(WebSocketReader, BoundsCompressedMessagesOfTheirOwn) {
  auto read_all = [](unsigned first, const std::string& payload) {
    WebSocketReader reader(WebSocketRole::server, 1000, DeflateAgreement{}, 100);
    std::string frame = masked(first, payload);
    return read(reader, frame, frame.size());
  };
  auto deflated = [](std::size_t size) {
    std::string coded;
    EXPECT_TRUE(MessageDeflater(15).encode(std::string(size, 'x'), coded, true));
    return coded;
  };
  EXPECT_EQ(read_all(0xC1, deflated(100)), "text:" + std::string(100, 'x') + " ");
  EXPECT_EQ(read_all(0xC1, deflated(101)), "!1009") << "as decoded";
  EXPECT_EQ(read_all(0xC1, std::string(101, '\0')), "!1009") << "as sent";
  EXPECT_EQ(read_all(0x81, std::string(1000, 'x')), "text:" + std::string(1000, 'x') + " ");
}

TEST(WebSocketReader, RefusesAMessageThatEndsAgainAndAgain) {
  auto ends = [](int count) {
    std::string coded;
    for (int i = 0; i < count; ++i) coded += std::string_view("\x03\x00", 2);
    return served(masked(0xC1, coded), DeflateAgreement{});
  };
  EXPECT_EQ(ends(16), "text: ");
  EXPECT_EQ(ends(17), "!1007");
}

TEST(WebSocketReader, ChecksCompressedText) {
  DeflateAgreement agreed;
  WebSocketWriter writer(WebSocketRole::client, agreed);
  std::string bytes;
  writer.message(true, std::string(200, 'x') + "\xC3", bytes);
  EXPECT_EQ(served(bytes, agreed), "!1007");
}

TEST(WebSocketWriter, SaysWhatTheOtherSideReads) {
  for (bool takeover : {false, true}) {
    DeflateAgreement agreed{.server_no_context_takeover = !takeover, .client_no_context_takeover = !takeover};
    for (auto deflate : {std::optional<DeflateAgreement>(), std::optional(agreed)}) {
      for (WebSocketRole role : {WebSocketRole::server, WebSocketRole::client}) {
        WebSocketWriter writer(role, deflate);
        WebSocketReader reader(role == WebSocketRole::server ? WebSocketRole::client : WebSocketRole::server, 1 << 20,
                               deflate);
        std::string bytes;
        std::string expected;
        for (std::size_t size : {0U, 10U, 300U, 70000U, 300U}) {
          std::string text;
          while (text.size() < size) text += fmt::format("{{\"at\":{}}}", text.size());
          writer.message(true, text, bytes);
          expected += "text:" + text + " ";
        }
        writer.ping("p", bytes);
        writer.pong("q", bytes);
        writer.close(1001, "away", bytes);
        EXPECT_EQ(read(reader, bytes, 1000), expected + "ping:p pong:q close:1001:away ");
      }
    }
  }
}

TEST(WebSocketWriter, RepeatedMessagesShrinkToAFewBytesWithContext) {
  WebSocketWriter writer(WebSocketRole::server, DeflateAgreement{});
  std::string message =
      R"({"device":"press-4","temperature":71.25,"vibration":[0.11,0.12,0.09],"state":"running","at":1700000000})";
  std::string first;
  std::string second;
  writer.message(true, message, first);
  writer.message(true, message, second);
  EXPECT_LT(second.size() * 4, first.size());
}

TEST(WebSocketWriter, SendsLargeMessagesAsTheyAre) {
  auto written = [](std::size_t size) {
    WebSocketWriter writer(WebSocketRole::server, DeflateAgreement{});
    std::string out;
    writer.message(true, std::string(size, 'x'), out);
    return out.size();
  };
  EXPECT_LT(written(64 * 1024), 1000U);
  EXPECT_GT(written(64 * 1024 + 1), 64U * 1024);
}

TEST(WebSocketWriter, CutsReasonsBetweenCharacters) {
  WebSocketWriter writer(WebSocketRole::client, {});
  std::string bytes;
  std::string reason(122, 'x');
  writer.close(1008, reason + "\u00e4", bytes);
  EXPECT_EQ(served(bytes), "close:1008:" + reason + " ");
  std::string none;
  writer.close(close_code::kCut, "never on the wire", none);
  EXPECT_EQ(served(none), "close:1005: ");
}

TEST(WebSocketWriter, MasksWithChangingBytes) {
  WebSocketWriter writer(WebSocketRole::client, {});
  std::string bytes;
  for (int i = 0; i < 100; ++i) writer.message(true, "", bytes);
  ASSERT_EQ(bytes.size(), 600U);
  std::set<std::string> masks;
  for (std::size_t i = 0; i < 600; i += 6) masks.insert(bytes.substr(i + 2, 4));
  EXPECT_GT(masks.size(), 95U);
}

std::string agreed(std::string_view offer, bool takeover = true) {
  auto agreement = accept_deflate(offer, {.enabled = true, .context_takeover = takeover});
  return agreement ? deflate_answer(*agreement) : "no";
}

TEST(DeflateAgreement, AcceptsTheFirstOfferThatCanBe) {
  EXPECT_EQ(agreed("permessage-deflate"), "permessage-deflate");
  EXPECT_EQ(agreed("permessage-deflate", false),
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover");
  EXPECT_EQ(agreed("permessage-deflate; client_max_window_bits"), "permessage-deflate");
  EXPECT_EQ(
      agreed("x-webkit-deflate-frame, permessage-deflate;client_max_window_bits=10 ; server_max_window_bits=\"9\""),
      "permessage-deflate; server_max_window_bits=9; client_max_window_bits=10");
  EXPECT_EQ(agreed("permessage-deflate; unknown, permessage-deflate; server_no_context_takeover"),
            "permessage-deflate; server_no_context_takeover");
  for (std::string_view bad :
       {"", "other", "permessage-deflate; server_max_window_bits", "permessage-deflate; server_max_window_bits=16",
        "permessage-deflate; server_max_window_bits=08", "permessage-deflate; server_no_context_takeover=1",
        "permessage-deflate; client_max_window_bits=7",
        "permessage-deflate; client_no_context_takeover; "
        "client_no_context_takeover",
        "permessage-deflate; =", "permessage-deflate; a=\"", "permessage-deflate extra"})
    EXPECT_EQ(agreed(bad), "no") << bad;
  EXPECT_FALSE(accept_deflate("permessage-deflate", {.enabled = false}));
}

TEST(DeflateAgreement, ReadsAServersAnswer) {
  auto none = read_deflate_answer("");
  ASSERT_TRUE(none);
  EXPECT_FALSE(*none);
  auto some = read_deflate_answer("permessage-deflate; server_max_window_bits=10; client_no_context_takeover");
  ASSERT_TRUE(some && *some);
  EXPECT_EQ((*some)->server_window_bits, 10);
  EXPECT_TRUE((*some)->client_no_context_takeover);
  for (std::string_view bad : {"other", "permessage-deflate, permessage-deflate",
                               "permessage-deflate; client_max_window_bits", "permessage-deflate; x"})
    EXPECT_FALSE(read_deflate_answer(bad)) << bad;
}

TEST(WebSocketHandshake, KnowsTheExampleOfRfc6455) {
  EXPECT_EQ(websocket_accept("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
  EXPECT_TRUE(is_websocket_key(new_websocket_key()));
  for (std::string_view bad : {"", "short==", "dGhlIHNhbXBsZSBub25jZQ==x", "dGhlIHNhbXBsZSBub25jZQAA"})
    EXPECT_FALSE(is_websocket_key(bad)) << bad;
  EXPECT_TRUE(list_holds("keep-alive, Upgrade", "upgrade"));
  EXPECT_FALSE(list_holds("upgraded", "upgrade"));
}

}  // namespace
}  // namespace penstock::wire
