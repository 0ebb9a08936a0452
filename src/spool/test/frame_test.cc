#include "spool/frame.h"

#include <gtest/gtest.h>

#include <random>

#include "spool/bytes.h"
#include "spool/crc32c.h"

namespace penstock::spool {
namespace {

// RFC 3720, appendix B.4.
TEST(Crc32c, GivesThePublishedValues) {
  std::string rising(32, '\0');
  for (std::size_t i = 0; i < 32; ++i) rising[i] = static_cast<char>(i);
  for (auto* crc : {&crc32c, &crc32c_by_table}) {
    EXPECT_EQ(crc("123456789", 0), 0xE3069283U);
    EXPECT_EQ(crc(std::string(32, '\0'), 0), 0x8A9136AAU);
    EXPECT_EQ(crc(std::string(32, '\xFF'), 0), 0x62A8AB43U);
    EXPECT_EQ(crc(rising, 0), 0x46DD794EU);
  }
}

TEST(Crc32c, IsTheSameByTableByProcessorAndInParts) {
  std::mt19937 random(1);
  std::string bytes(1000, '\0');
  for (char& byte : bytes) byte = static_cast<char>(random());
  for (std::size_t size = 0; size < bytes.size(); size += 7) {
    std::string_view part = std::string_view(bytes).substr(size % 11, size);
    EXPECT_EQ(crc32c(part), crc32c_by_table(part));
    EXPECT_EQ(crc32c(part), crc32c(part.substr(part.size() / 3), crc32c(part.substr(0, part.size() / 3))));
  }
}

TEST(Bytes, VariableNumbersGoRound) {
  for (std::int64_t value :
       {std::int64_t{0}, std::int64_t{-1}, std::int64_t{1}, INT64_MIN, INT64_MAX, std::int64_t{300}}) {
    std::string out;
    put_varint(out, zigzag(value));
    ByteReader reader(out);
    EXPECT_EQ(unzigzag(reader.take_varint()), value);
    EXPECT_TRUE(reader.at_end());
    ByteReader cut(std::string_view(out).substr(0, out.size() - 1));
    EXPECT_EQ(cut.take_varint(), 0U);
    EXPECT_FALSE(cut.good());
  }
  std::string ones(20, '\xFF');
  ByteReader endless(ones);
  (void)endless.take_varint();
  EXPECT_FALSE(endless.good());
}

std::vector<Entry> some_entries() {
  return {{10, 1'700'000'000'000'000, 1, "first"},
          {11, 1'700'000'000'000'500, 2, std::string(3000, 'x')},
          {15, INT64_MIN, 0, ""},
          {16, INT64_MAX, 255, std::string("\0\xFF", 2)}};
}

std::string frame_of(const std::vector<Entry>& entries, bool compress, Cipher* cipher) {
  FrameBuilder builder(compress);
  for (const Entry& entry : entries) builder.add(entry, 1'700'000'000'000'000);
  std::string out;
  builder.finish(out, cipher);
  return out;
}

Result<std::vector<Entry>> read_back(std::string_view frame, Cipher* cipher) {
  auto header = decode_frame_header(frame);
  if (!header) return fail(Errc::data_loss, "no header");
  std::vector<Entry> out;
  if (auto decoded = decode_entries(*header, frame.substr(kFrameHeaderBytes), cipher, out); !decoded)
    return std::unexpected(decoded.error());
  return out;
}

TEST(Frame, EntriesGoRoundCompressedAndEncrypted) {
  Cipher cipher(base::Secret(std::string(kKeyBytes, 'k')), make_salt());
  for (bool compress : {false, true}) {
    for (Cipher* with : {static_cast<Cipher*>(nullptr), &cipher}) {
      auto entries = some_entries();
      auto back = read_back(frame_of(entries, compress, with), with);
      ASSERT_TRUE(back) << back.error().detail;
      ASSERT_EQ(back->size(), entries.size());
      for (std::size_t i = 0; i < entries.size(); ++i) {
        EXPECT_EQ((*back)[i].sequence, entries[i].sequence);
        EXPECT_EQ((*back)[i].time, entries[i].time);
        EXPECT_EQ((*back)[i].priority, entries[i].priority);
        EXPECT_EQ((*back)[i].bytes, entries[i].bytes);
      }
    }
  }
  EXPECT_LT(frame_of(some_entries(), true, nullptr).size(), 300U);
}

// Whoever can write to the disk can make checksums fit, and still neither change nor move what is encrypted.
TEST(Frame, WhatIsEncryptedCannotBeChangedMovedOrRead) {
  base::Secret key(std::string(kKeyBytes, 'k'));
  std::string salt = make_salt();
  Cipher cipher(key, salt);
  std::string frame = frame_of(some_entries(), false, &cipher);
  EXPECT_EQ(frame.find("first"), std::string::npos);
  auto header = decode_frame_header(frame);
  ASSERT_TRUE(header);
  std::string body = frame.substr(kFrameHeaderBytes);
  std::vector<Entry> out;
  ASSERT_TRUE(decode_entries(*header, body, &cipher, out));
  for (std::size_t i = 0; i < body.size(); i += 97) {
    std::string changed = body;
    changed[i] = static_cast<char>(changed[i] ^ 1);
    EXPECT_FALSE(decode_entries(*header, changed, &cipher, out));
  }
  FrameHeader moved = *header;
  moved.first += 1;
  EXPECT_FALSE(decode_entries(moved, body, &cipher, out));
  moved = *header;
  moved.written_at += 1;
  EXPECT_FALSE(decode_entries(moved, body, &cipher, out));
  Cipher elsewhere(key, make_salt());
  EXPECT_FALSE(decode_entries(*header, body, &elsewhere, out));
  EXPECT_NE(elsewhere.key_check(), cipher.key_check());
  EXPECT_EQ(Cipher(key, salt).key_check(), cipher.key_check());
  EXPECT_EQ(out.size(), some_entries().size()) << "a damaged body leaves nothing behind";
}

TEST(Frame, AnyChangedByteShows) {
  std::string frame = frame_of(some_entries(), true, nullptr);
  for (std::size_t i = 0; i < frame.size(); ++i) {
    std::string changed = frame;
    changed[i] = static_cast<char>(changed[i] ^ 0x10);
    auto header = decode_frame_header(changed);
    EXPECT_TRUE(!header || crc32c(std::string_view(changed).substr(kFrameHeaderBytes)) != header->body_crc) << i;
  }
}

TEST(Frame, BodiesThatFitTheirChecksumAndNotTheirHeaderAreRefused) {
  auto header = decode_frame_header(frame_of(some_entries(), false, nullptr));
  std::string body = frame_of(some_entries(), false, nullptr).substr(kFrameHeaderBytes);
  std::vector<Entry> out;
  for (auto change : std::vector<std::function<void(FrameHeader&)>>{
           [](FrameHeader& h) { h.count = 3; }, [](FrameHeader& h) { h.count = 5; },
           [](FrameHeader& h) { h.count = 0xFFFFFFFF; }, [](FrameHeader& h) { h.last = 15; },
           [](FrameHeader& h) { h.last = UINT64_MAX; }, [](FrameHeader& h) { h.flags = kCompressed; }}) {
    FrameHeader changed = *header;
    change(changed);
    EXPECT_FALSE(decode_entries(changed, body, nullptr, out));
  }
  EXPECT_TRUE(out.empty());
}

TEST(SegmentHeader, GoesRoundAndShowsDamage) {
  SegmentHeader header;
  header.identity = 7;
  header.first_sequence = 42;
  header.made_at = -5;
  header.lane = 2;
  header.encrypted = true;
  header.apart = true;
  header.key_check = 99;
  header.salt = make_salt();
  std::string bytes = encode(header);
  ASSERT_EQ(bytes.size(), kSegmentHeaderBytes);
  auto back = decode_segment_header(bytes);
  ASSERT_TRUE(back);
  EXPECT_EQ(back->identity, 7U);
  EXPECT_EQ(back->first_sequence, 42U);
  EXPECT_EQ(back->made_at, -5);
  EXPECT_EQ(back->lane, 2);
  EXPECT_TRUE(back->encrypted);
  EXPECT_TRUE(back->apart);
  EXPECT_EQ(back->salt, header.salt);
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    std::string changed = bytes;
    changed[i] = static_cast<char>(changed[i] ^ 1);
    EXPECT_FALSE(decode_segment_header(changed)) << i;
  }
}

TEST(Summary, GoesRound) {
  Summary summary{100, 142, 5, 9, {{42, 80, 0, 5}, {90, 70'000, 48, 7}}};
  std::string bytes = encode(summary);
  auto length = summary_bytes(std::string_view(bytes).substr(bytes.size() - kTrailerBytes));
  ASSERT_TRUE(length);
  EXPECT_EQ(*length, bytes.size());
  auto back = decode_summary(bytes);
  ASSERT_TRUE(back);
  EXPECT_EQ(back->records, 100U);
  EXPECT_EQ(back->last, 142U);
  ASSERT_EQ(back->points.size(), 2U);
  EXPECT_EQ(back->points[1].offset, 70'000U);
  EXPECT_FALSE(decode_summary(std::string_view(bytes).substr(1)));
  EXPECT_FALSE(decode_summary(std::string_view(bytes).substr(0, bytes.size() - 1)));
}

}  // namespace
}  // namespace penstock::spool
