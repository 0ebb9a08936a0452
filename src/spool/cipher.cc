#include "spool/cipher.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <openssl/rand.h>

#include <array>
#include <cstdlib>

namespace penstock::spool {
namespace {

constexpr std::string_view kPurpose = "penstock spool segment 1";

unsigned char* octets(char* text) { return reinterpret_cast<unsigned char*>(text); }
const unsigned char* octets(const char* text) { return reinterpret_cast<const unsigned char*>(text); }

// Out of memory or out of random numbers: nothing safe can follow.
void must(bool done) {
  if (!done) std::abort();
}

std::string derive(const base::Secret& key, std::string_view salt) {
  std::unique_ptr<EVP_KDF, decltype(&EVP_KDF_free)> kdf(EVP_KDF_fetch(nullptr, "HKDF", nullptr), &EVP_KDF_free);
  std::unique_ptr<EVP_KDF_CTX, decltype(&EVP_KDF_CTX_free)> context(EVP_KDF_CTX_new(kdf.get()), &EVP_KDF_CTX_free);
  auto parameter = [](const char* name, std::string_view bytes) {
    return OSSL_PARAM_construct_octet_string(name, const_cast<char*>(bytes.data()), bytes.size());
  };
  std::string hash = "SHA256";
  std::array<OSSL_PARAM, 5> parameters{
      OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, hash.data(), hash.size()),
      parameter(OSSL_KDF_PARAM_KEY, key.reveal()), parameter(OSSL_KDF_PARAM_SALT, salt),
      parameter(OSSL_KDF_PARAM_INFO, kPurpose), OSSL_PARAM_construct_end()};
  std::string derived(kKeyBytes + sizeof(std::uint64_t), '\0');
  must(EVP_KDF_derive(context.get(), octets(derived.data()), derived.size(), parameters.data()) == 1);
  return derived;
}

}  // namespace

std::string make_salt() {
  std::string salt(kSaltBytes, '\0');
  must(RAND_bytes(octets(salt.data()), static_cast<int>(salt.size())) == 1);
  return salt;
}

Cipher::Cipher(const base::Secret& key, std::string_view salt)
    : context_(EVP_CIPHER_CTX_new(), [](evp_cipher_ctx_st* held) { EVP_CIPHER_CTX_free(held); }) {
  must(context_ != nullptr && key.reveal().size() == kKeyBytes);
  std::string derived = derive(key, salt);
  std::memcpy(&key_check_, derived.data() + kKeyBytes, sizeof key_check_);
  key_ = base::Secret(derived.substr(0, kKeyBytes));
  OPENSSL_cleanse(derived.data(), derived.size());
}

Cipher::~Cipher() = default;

void Cipher::start(bool sealing, std::uint64_t number, std::string_view associated) {
  std::array<unsigned char, 12> nonce{};
  for (std::size_t i = 0; i < 8; ++i) nonce[4 + i] = static_cast<unsigned char>((number >> (56 - 8 * i)) & 0xFFU);
  int out = 0;
  must(EVP_CipherInit_ex2(context_.get(), EVP_aes_256_gcm(), octets(key_.reveal().data()), nonce.data(),
                          sealing ? 1 : 0, nullptr) == 1);
  must(EVP_CipherUpdate(context_.get(), nullptr, &out, octets(associated.data()),
                        static_cast<int>(associated.size())) == 1);
}

void Cipher::seal(std::string& bytes, std::size_t at, std::uint64_t number, std::string_view associated) {
  start(true, number, associated);
  std::size_t size = bytes.size() - at;
  int out = 0;
  must(EVP_CipherUpdate(context_.get(), octets(bytes.data() + at), &out, octets(bytes.data() + at),
                        static_cast<int>(size)) == 1);
  must(EVP_CipherFinal_ex(context_.get(), octets(bytes.data() + at) + out, &out) == 1);
  bytes.append(kTagBytes, '\0');
  must(EVP_CIPHER_CTX_ctrl(context_.get(), EVP_CTRL_GCM_GET_TAG, kTagBytes, bytes.data() + at + size) == 1);
}

bool Cipher::unseal(std::string& bytes, std::uint64_t number, std::string_view associated) {
  if (bytes.size() < kTagBytes) return false;
  start(false, number, associated);
  std::size_t size = bytes.size() - kTagBytes;
  int out = 0;
  must(EVP_CIPHER_CTX_ctrl(context_.get(), EVP_CTRL_GCM_SET_TAG, kTagBytes, bytes.data() + size) == 1);
  must(EVP_CipherUpdate(context_.get(), octets(bytes.data()), &out, octets(bytes.data()), static_cast<int>(size)) == 1);
  bool whole = EVP_CipherFinal_ex(context_.get(), octets(bytes.data()) + out, &out) == 1;
  bytes.resize(size);
  return whole;
}

}  // namespace penstock::spool
