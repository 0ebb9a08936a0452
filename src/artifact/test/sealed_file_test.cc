#include "artifact/sealed_file.h"

#include <gmock/gmock.h>

#include "artifact/digest.h"

namespace penstock::artifact {
namespace {

base::Secret key() { return *parse_encryption_key(base::Secret(std::string(64, '7'))); }

std::string text(std::size_t size) {
  std::string bytes(size, '\0');
  for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<char>(i * 31 + i / 251);
  return bytes;
}

TEST(SealedFile, OpensToWhatWasSealed) {
  for (std::size_t size : {0UZ, 1UZ, 65'535UZ, 65'536UZ, 65'537UZ, 131'072UZ, 200'000UZ}) {
    std::string sealed = seal(text(size), key());
    EXPECT_TRUE(is_sealed(sealed));
    EXPECT_EQ(sealed.size(), 51 + size + 16 * std::max<std::size_t>(1, (size + 65'535) / 65'536));
    auto opened = unseal(sealed, key());
    ASSERT_TRUE(opened) << opened.error().detail;
    EXPECT_EQ(*opened, text(size)) << size;
  }
}

TEST(SealedFile, IsDifferentEachTime) { EXPECT_NE(seal("same", key()), seal("same", key())); }

// Made with the Python package `cryptography`: HKDF(SHA256, 32, salt=bytes(range(32)), info=b"penstock model file 1")
// of bytes(range(100, 132)), nonce prefix b"prefix!", AESGCM of b"a model" in one segment.
TEST(SealedFile, OpensWhatAnotherProgramSealed) {
  std::string header = "PNSTKENC";
  header += '\x01';
  header.append(3, '\0');
  std::string raw_key;
  for (int i = 0; i < 32; ++i) {
    header += static_cast<char>(i);
    raw_key += static_cast<char>(100 + i);
  }
  header += "prefix!";
  // Each way to write the key.
  auto parsed = parse_encryption_key(base::Secret("\n" + to_hex(raw_key) + "\n"));
  ASSERT_TRUE(parsed);
  auto from_base64 = parse_encryption_key(base::Secret("ZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXp7fH1+f4CBgoM="));
  ASSERT_TRUE(from_base64);
  EXPECT_EQ(parsed->reveal(), from_base64->reveal());
  std::string small = header + *from_hex("e2e252ad6fb512bfe5a0d35497f2bdb4fde4eb648b369b");
  auto opened = unseal(small, *parsed);
  ASSERT_TRUE(opened) << opened.error().detail;
  EXPECT_EQ(*opened, "a model");
}

TEST(SealedFile, RefusesEveryChangedBit) {
  std::string sealed = seal(text(300), key());
  for (std::size_t i = 0; i < sealed.size(); ++i) {
    std::string changed = sealed;
    changed[i] = static_cast<char>(changed[i] ^ 1);
    EXPECT_FALSE(unseal(changed, key())) << "byte " << i;
  }
}

TEST(SealedFile, RefusesWhatWasCutExtendedOrMoved) {
  constexpr std::size_t kFull = 65'536 + 16;
  std::string sealed = seal(text(3 * 65'536), key());
  for (std::size_t cut :
       {0UZ, 8UZ, 50UZ, 51UZ, 60UZ, 51 + kFull, 51 + 2 * kFull, 51 + 2 * kFull + 15, 51 + 3 * kFull - 1})
    EXPECT_FALSE(unseal(sealed.substr(0, cut), key())) << cut;
  EXPECT_FALSE(unseal(sealed + "x", key()));
  EXPECT_FALSE(unseal(sealed + sealed.substr(51 + 2 * kFull), key()));
  std::string swapped = sealed.substr(0, 51) + sealed.substr(51 + kFull, kFull) + sealed.substr(51, kFull) +
                        sealed.substr(51 + 2 * kFull);
  auto refused = unseal(swapped, key());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::data_loss);
  std::string later = sealed;
  later[51 + kFull + 5] = static_cast<char>(later[51 + kFull + 5] ^ 4);
  EXPECT_THAT(unseal(later, key()).error().detail, testing::HasSubstr("segment 2 of 3"));
  // A segment of another file under the same key.
  std::string other = seal(text(3 * 65'536), key());
  EXPECT_FALSE(unseal(sealed.substr(0, 51 + kFull) + other.substr(51 + kFull), key()));
}

TEST(SealedFile, SaysWhatIsWrong) {
  std::string sealed = seal("model", key());
  auto other = unseal(sealed, *parse_encryption_key(make_encryption_key()));
  EXPECT_THAT(other.error().detail, testing::HasSubstr("the key is another one"));
  EXPECT_EQ(unseal("plain", key()).error().code, Errc::invalid_argument);
  sealed[8] = 2;
  EXPECT_EQ(unseal(sealed, key()).error().code, Errc::unimplemented);
}

TEST(SealedFile, KeysAreThirtyTwoBytes) {
  for (const char* wrong : {"", "abc", "00", "not base64 at all, not at all!", "AAAA"}) {
    auto parsed = parse_encryption_key(base::Secret(wrong));
    ASSERT_FALSE(parsed) << wrong;
    EXPECT_THAT(parsed.error().detail, testing::Not(testing::HasSubstr("not base64 at all")));
  }
}

}  // namespace
}  // namespace penstock::artifact
