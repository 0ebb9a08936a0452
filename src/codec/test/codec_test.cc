#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zlib.h>
#include <zstd.h>

#include "codec/body_decoder.h"
#include "codec/encoder.h"

namespace penstock::codec {
namespace {

using testing::HasSubstr;

// Words, numbers and noise, so that every part of a decoder has work.
std::string text_of(std::size_t size) {
  std::string text;
  std::uint32_t state = 12345;
  while (text.size() < size) {
    state = state * 1664525 + 1013904223;
    if (state >> 28 == 0) {
      for (int i = 0; i < 8; ++i) text += static_cast<char>(state >> (i * 3));
    } else {
      text += fmt::format("{{\"word{}\":{}}},", (state >> 20) % 50, state >> 24);
    }
  }
  text.resize(size);
  return text;
}

// zlib with `bits` of window: negative for the bare format, 16 more for gzip.
std::string deflated(std::string_view body, int bits) {
  z_stream stream{};
  EXPECT_EQ(deflateInit2(&stream, 6, Z_DEFLATED, bits, 8, Z_DEFAULT_STRATEGY), Z_OK);
  std::string out(deflateBound(&stream, body.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(body.data()));
  stream.avail_in = static_cast<uInt>(body.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  EXPECT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

std::string encoded(Coding coding, std::string_view body) { return encode_body(coding, body).value(); }

Result<std::string> decoded_in_steps(std::span<const Coding> codings, std::string_view body, std::size_t step) {
  BodyDecoder decoder(codings, {});
  std::string out;
  for (std::size_t at = 0; at < body.size(); at += step) {
    if (auto fed = decoder.feed(body.substr(at, step), out); !fed) return std::unexpected(fed.error());
  }
  if (auto ended = decoder.finish(); !ended) return std::unexpected(ended.error());
  return out;
}

Result<std::string> decoded(Coding coding, std::string_view body, DecodeLimits limits = {}) {
  std::array codings{coding};
  return decode_body(codings, body, limits);
}

class EachCoding : public testing::TestWithParam<Coding> {};

TEST_P(EachCoding, GivesBackWhatWasCoded) {
  for (std::size_t size : {0UL, 1UL, 100UL, 16384UL, 65536UL, 300'000UL, 3'000'000UL}) {
    std::string body = text_of(size);
    auto back = decoded(GetParam(), encoded(GetParam(), body));
    ASSERT_TRUE(back) << back.error().detail;
    EXPECT_EQ(*back, body) << size;
  }
}

TEST_P(EachCoding, EverySplitGivesTheSameBytes) {
  std::string body = text_of(20'000);
  std::string coded = encoded(GetParam(), body);
  std::array codings{GetParam()};
  for (std::size_t step : {1UL, 2UL, 3UL, 7UL, 64UL, 1000UL, 4096UL}) {
    auto back = decoded_in_steps(codings, coded, step);
    ASSERT_TRUE(back) << back.error().detail;
    EXPECT_EQ(*back, body) << step;
  }
  std::string small = text_of(300);
  std::string small_coded = encoded(GetParam(), small);
  for (std::size_t cut = 0; cut <= small_coded.size(); ++cut) {
    BodyDecoder decoder(codings, {});
    std::string out;
    ASSERT_TRUE(decoder.feed(std::string_view(small_coded).substr(0, cut), out));
    ASSERT_TRUE(decoder.feed(std::string_view(small_coded).substr(cut), out));
    ASSERT_TRUE(decoder.finish());
    ASSERT_EQ(out, small) << cut;
  }
}

TEST_P(EachCoding, SeesThatTheEndIsMissing) {
  std::string coded = encoded(GetParam(), text_of(5000));
  for (std::size_t size : {1UL, 2UL, coded.size() / 2, coded.size() - 1}) {
    auto back = decoded(GetParam(), std::string_view(coded).substr(0, size));
    ASSERT_FALSE(back) << size;
    EXPECT_EQ(back.error().code, Errc::data_loss) << size;
  }
  EXPECT_EQ(decoded(GetParam(), "").value(), "");
}

TEST_P(EachCoding, RefusesBytesBehindTheEnd) {
  std::string coded = encoded(GetParam(), text_of(5000));
  for (std::string_view tail : {std::string_view("\0", 1), std::string_view("\0\0\0\0\0\0\0\0", 8),
                                std::string_view("garbage behind the end")}) {
    auto back = decoded(GetParam(), coded + std::string(tail));
    ASSERT_FALSE(back) << tail.size();
    EXPECT_TRUE(back.error().code == Errc::invalid_argument || back.error().code == Errc::data_loss);
  }
}

TEST_P(EachCoding, RefusesWhatItIsNot) {
  for (std::string_view body : {"{\"model\":\"chat\",\"messages\":[]}", "\xff\xff\xff\xff\xff\xff\xff\xff"}) {
    auto back = decoded(GetParam(), body);
    ASSERT_FALSE(back);
    EXPECT_TRUE(back.error().code == Errc::invalid_argument || back.error().code == Errc::data_loss)
        << back.error().detail;
  }
}

TEST_P(EachCoding, DamageNeverPassesForAnotherBody) {
  std::string body = text_of(4000);
  std::string coded = encoded(GetParam(), body);
  bool checked = GetParam() == Coding::gzip || GetParam() == Coding::deflate;  // the others carry no checksum here
  for (std::size_t at = 0; at < coded.size(); ++at) {
    std::string damaged = coded;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x10);
    auto back = decoded(GetParam(), damaged);
    if (back && checked) EXPECT_EQ(*back, body) << at;  // a field of the header nobody reads
  }
}

TEST_P(EachCoding, ABombIsRefusedSmall) {
  std::string zeros(10'000'000, '\0');
  // Harder than our own level: whoever builds a bomb takes the time.
  bool zlib = GetParam() == Coding::gzip || GetParam() == Coding::deflate;
  // As small as a stranger makes it, not as quickly as we do.
  std::string coded = zlib ? deflated(zeros, GetParam() == Coding::gzip ? 15 + 16 : 15) : encoded(GetParam(), zeros);
  ASSERT_LT(coded.size(), 11'000U);
  std::array codings{GetParam()};
  BodyDecoder decoder(codings, {});
  std::string out;
  auto fed = decoder.feed(coded, out);
  ASSERT_FALSE(fed);
  EXPECT_EQ(fed.error().code, Errc::out_of_range);
  EXPECT_LE(out.size(), std::max<std::size_t>(1U << 20, 200 * coded.size()) + 16 * 1024);
}

TEST_P(EachCoding, ManyZerosBelowTheFloorAreNoBomb) {
  std::string zeros(1U << 20, '\0');
  EXPECT_EQ(decoded(GetParam(), encoded(GetParam(), zeros)).value().size(), zeros.size());
}

TEST_P(EachCoding, TheCallersLimitHoldsToTheByte) {
  std::string body = text_of(100'000);
  std::string coded = encoded(GetParam(), body);
  EXPECT_TRUE(decoded(GetParam(), coded, {.bytes_max = body.size()}));
  auto refused = decoded(GetParam(), coded, {.bytes_max = body.size() - 1});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::out_of_range);
  EXPECT_THAT(refused.error().detail, HasSubstr("99999"));
}

INSTANTIATE_TEST_SUITE_P(All, EachCoding, testing::Values(Coding::gzip, Coding::deflate, Coding::br, Coding::zstd),
                         [](const auto& info) { return std::string(name_of(info.param)); });

TEST(StackedCodings, AreUndoneFromTheOutside) {
  std::string body = text_of(50'000);
  for (Coding inner : {Coding::gzip, Coding::br, Coding::zstd}) {
    for (Coding outer : {Coding::gzip, Coding::br, Coding::zstd}) {
      std::array codings{inner, outer};
      std::string coded = encoded(outer, encoded(inner, body));
      for (std::size_t step : {1UL, 500UL, coded.size()})
        EXPECT_EQ(decoded_in_steps(codings, coded, step).value(), body);
      EXPECT_FALSE(decoded_in_steps(codings, std::string_view(coded).substr(0, coded.size() - 1), 100));
    }
  }
}

TEST(StackedCodings, ABombWithinABombIsRefusedSmall) {
  std::string bomb = encoded(Coding::gzip, encoded(Coding::gzip, std::string(100'000'000, '\0')));
  std::array codings{Coding::gzip, Coding::gzip};
  BodyDecoder decoder(codings, {});
  std::string out;
  auto fed = decoder.feed(bomb, out);
  ASSERT_FALSE(fed);
  EXPECT_EQ(fed.error().code, Errc::out_of_range);
  EXPECT_LE(out.size(), std::max<std::size_t>(1U << 20, 200 * bomb.size()) + 16 * 1024);
}

// Whatever small bytes decode to, no more of it is held than was asked for.
TEST(StackedCodings, AreUndoneInPiecesOfABoundedSize) {
  constexpr std::size_t kPiece = 50'000;
  std::string body = text_of(100'000) + std::string(900'000, ' ') + text_of(2000);
  for (const std::vector<Coding>& codings :
       {std::vector{Coding::gzip}, {Coding::deflate}, {Coding::br}, {Coding::zstd}, {Coding::br, Coding::gzip}}) {
    std::string coded = body;
    for (Coding coding : codings) coded = encoded(coding, coded);
    BodyDecoder decoder(codings, {});
    std::string out;
    std::size_t pieces = 0;
    std::string_view left = coded;
    for (bool more = true; more; ++pieces) {
      std::string piece;
      auto fed = decoder.feed_some(left, piece, kPiece);
      ASSERT_TRUE(fed) << fed.error().detail;
      EXPECT_LT(piece.size(), kPiece + 16 * 1024 + 1);
      out += piece;
      more = *fed;
    }
    EXPECT_TRUE(left.empty());
    EXPECT_TRUE(decoder.finish());
    EXPECT_GT(pieces, 10U);
    EXPECT_TRUE(out == body) << name_of(codings.front());
  }
}

TEST(Gzip, MembersFollowOneAnother) {
  std::string first = text_of(30'000);
  std::string second = text_of(100);
  std::string coded = encoded(Coding::gzip, first) + encoded(Coding::gzip, "") + encoded(Coding::gzip, second);
  std::array codings{Coding::gzip};
  for (std::size_t step : {1UL, 13UL, coded.size()}) {
    EXPECT_EQ(decoded_in_steps(codings, coded, step).value(), first + second);
  }
}

TEST(Deflate, IsTakenWrappedAndBare) {
  std::string body = text_of(30'000);
  std::array codings{Coding::deflate};
  for (int bits : {15, 9, -15, -9}) {
    std::string coded = deflated(body, bits);
    for (std::size_t step : {1UL, 2UL, coded.size()}) {
      EXPECT_EQ(decoded_in_steps(codings, coded, step).value(), body) << bits;
    }
  }
}

TEST(Zstd, FramesFollowOneAnotherAndLargeWindowsAreRefused) {
  std::string body = text_of(30'000);
  std::string coded = encoded(Coding::zstd, body);
  EXPECT_EQ(decoded(Coding::zstd, coded + coded).value(), body + body);

  std::string large = text_of(20'000'000);
  ZSTD_CCtx* context = ZSTD_createCCtx();
  ZSTD_CCtx_setParameter(context, ZSTD_c_windowLog, 24);
  ZSTD_CCtx_setParameter(context, ZSTD_c_contentSizeFlag, 0);
  std::string wide(ZSTD_compressBound(large.size()), '\0');
  wide.resize(ZSTD_compress2(context, wide.data(), wide.size(), large.data(), large.size()));
  ZSTD_freeCCtx(context);
  auto refused = decoded(Coding::zstd, wide);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::invalid_argument);
  EXPECT_THAT(refused.error().detail, HasSubstr("8 MiB"));
}

TEST(Encoder, MakesTextSmaller) {
  std::string body = text_of(100'000);
  for (Coding coding : {Coding::gzip, Coding::deflate, Coding::br, Coding::zstd}) {
    EXPECT_LT(encode_body(coding, body).value().size(), body.size() * 2 / 3) << name_of(coding);
  }
  EXPECT_EQ(encode_body(Coding::identity, body).error().code, Errc::unimplemented);
}

}  // namespace
}  // namespace penstock::codec
