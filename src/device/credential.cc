#include "device/credential.h"

#include <openssl/evp.h>
#include <openssl/rand.h>

#include <array>
#include <vector>

namespace penstock::device {
namespace {

constexpr int kBrokerIterations = 101;
constexpr std::size_t kBrokerSaltBytes = 12;
constexpr std::size_t kBrokerHashBytes = 64;
// Without 0, O, 1 and I, which people mistake for each other.
constexpr std::string_view kCodeLetters = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ";
constexpr std::size_t kCodeLength = 16;

std::string base64(const unsigned char* bytes, std::size_t size) {
  std::string text(4 * ((size + 2) / 3) + 1, '\0');
  int length = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()), bytes, static_cast<int>(size));
  text.resize(static_cast<std::size_t>(length));
  return text;
}

// In front of what is hashed: a code is no secret, and the other way round.
std::string code_text(std::string_view letters) { return fmt::format("onboarding code {}", letters); }

}  // namespace

FreshCredential make_secret(const std::string& device, const base::Secret& installation, base::WallMicros now,
                            base::WallMicros expires) {
  FreshCredential fresh;
  std::string id = base::random_token(9);
  fresh.secret = base::Secret(fmt::format("pd-{}-{}", id, base::random_token(24)));
  fresh.stored = {device,
                  "secret",
                  id,
                  base::hmac_sha256_hex(installation.reveal(), fresh.secret.reveal()),
                  broker_hash(fresh.secret.reveal()),
                  now,
                  expires};
  return fresh;
}

FreshCredential make_code(const std::string& device, const base::Secret& installation, base::WallMicros now,
                          base::WallMicros expires) {
  std::array<unsigned char, kCodeLength> random{};
  RAND_bytes(random.data(), random.size());
  std::string letters;
  for (std::size_t i = 0; i < random.size(); ++i) {
    if (i > 0 && i % 4 == 0) letters += '-';
    letters += kCodeLetters[random[i] % kCodeLetters.size()];
  }
  FreshCredential fresh;
  fresh.secret = base::Secret(std::move(letters));
  fresh.stored = {device, "code", base::random_token(9), hash_of_code(fresh.secret.reveal(), installation), "",
                  now,    expires};
  return fresh;
}

std::string hash_of_code(std::string_view code, const base::Secret& installation) {
  std::string letters;
  for (char c : code) {
    if (c == '-' || c == ' ') continue;
    letters += c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  }
  return base::hmac_sha256_hex(installation.reveal(), code_text(letters));
}

std::string broker_hash(std::string_view secret) {
  std::array<unsigned char, kBrokerSaltBytes> salt{};
  std::array<unsigned char, kBrokerHashBytes> hash{};
  RAND_bytes(salt.data(), salt.size());
  PKCS5_PBKDF2_HMAC(secret.data(), static_cast<int>(secret.size()), salt.data(), static_cast<int>(salt.size()),
                    kBrokerIterations, EVP_sha512(), static_cast<int>(hash.size()), hash.data());
  return fmt::format("$7${}${}${}", kBrokerIterations, base64(salt.data(), salt.size()),
                     base64(hash.data(), hash.size()));
}

std::string identity_of(std::string_view device, std::string_view serial) {
  return fmt::format("urn:penstock:device:{}:{}", device, serial);
}

std::string subject_of(std::string_view device, std::string_view serial) {
  return fmt::format("serialNumber={},CN={}", serial, device);
}

}  // namespace penstock::device
