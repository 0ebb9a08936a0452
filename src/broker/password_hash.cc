#include "broker/password_hash.h"

#include <fmt/format.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#include <array>
#include <span>

namespace penstock::broker {
namespace {

std::string base64(std::span<const unsigned char> bytes) {
  std::string text(4 * ((bytes.size() + 2) / 3), '\0');
  // It writes a zero behind the text, where the string has one.
  EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()), bytes.data(), static_cast<int>(bytes.size()));
  return text;
}

}  // namespace

std::string hash_password(const base::Secret& password, int iterations) {
  std::array<unsigned char, 12> salt{};
  std::array<unsigned char, 64> hash{};
  RAND_bytes(salt.data(), salt.size());
  const std::string_view revealed = password.reveal();
  PKCS5_PBKDF2_HMAC(revealed.data(), static_cast<int>(revealed.size()), salt.data(), salt.size(), iterations,
                    EVP_sha512(), hash.size(), hash.data());
  return fmt::format("$7${}${}${}", iterations, base64(salt), base64(hash));
}

}  // namespace penstock::broker
