#include "artifact/signing_key.h"

#include <gmock/gmock.h>

#include "artifact/digest.h"
#include "chat/base64.h"

namespace penstock::artifact {
namespace {

// The 32 bytes of an Ed25519 public key as SubjectPublicKeyInfo (RFC 8410).
std::string pem_of(std::string_view hex) {
  std::string der = *from_hex("302a300506032b6570032100") + *from_hex(hex);
  return "-----BEGIN PUBLIC KEY-----\n" + chat::write_base64(der) + "\n-----END PUBLIC KEY-----\n";
}

struct Vector {
  const char* key;
  const char* message;
  const char* signature;
};
// RFC 8032 section 7.1, tests 1 to 3.
constexpr std::array kVectors{
    Vector{"d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
           "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595"
           "bbe2"
           "4655141438e7a100b"},
    Vector{"3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
           "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb43"
           "02ae"
           "eb00d291612bb0c00"},
    Vector{"fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
           "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716"
           "ed28"
           "dc027beceea1ec40a"},
};

TEST(SigningKey, KnowsTheVectorsOfRfc8032) {
  for (const Vector& vector : kVectors) {
    auto keys = PublicKey::parse(pem_of(vector.key));
    ASSERT_TRUE(keys) << keys.error().detail;
    EXPECT_EQ(keys->front().algorithm(), "Ed25519");
    std::string message = *from_hex(vector.message);
    std::string signature = *from_hex(vector.signature);
    EXPECT_TRUE(keys->front().verifies(message, signature));
    EXPECT_FALSE(keys->front().verifies(message + "x", signature));
    signature[3] = static_cast<char>(signature[3] ^ 1);
    EXPECT_FALSE(keys->front().verifies(message, signature));
    EXPECT_FALSE(keys->front().verifies(message, ""));
  }
}

TEST(SigningKey, SignsWhatItsPublicKeyVerifies) {
  PrivateKey key = PrivateKey::generate();
  auto again = PrivateKey::parse(key.pem());
  ASSERT_TRUE(again);
  auto signature = again->sign("bytes");
  ASSERT_TRUE(signature);
  EXPECT_EQ(signature->size(), 64U);
  auto both = PublicKey::parse(PrivateKey::generate().public_pem() + "\n" + key.public_pem());
  ASSERT_TRUE(both);
  ASSERT_EQ(both->size(), 2U);
  EXPECT_FALSE((*both)[0].verifies("bytes", *signature));
  EXPECT_TRUE((*both)[1].verifies("bytes", *signature));
  EXPECT_EQ((*both)[1].id(), key.public_key()->id());
}

TEST(SigningKey, SaysWhatStandsInTheWrongPlace) {
  PrivateKey key = PrivateKey::generate();
  auto refused = PublicKey::parse(key.pem().reveal());
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().detail, testing::HasSubstr("private key"));
  std::string secret(key.pem().reveal().substr(30, 20));
  EXPECT_THAT(refused.error().detail, testing::Not(testing::HasSubstr(secret)));
  EXPECT_FALSE(PublicKey::parse(""));
  EXPECT_FALSE(PublicKey::parse("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"));
  EXPECT_FALSE(PublicKey::parse("-----BEGIN PUBLIC KEY-----\nAAAA\n"));
  EXPECT_FALSE(PrivateKey::parse(base::Secret("nothing")));
}

}  // namespace
}  // namespace penstock::artifact
