#include "artifact/signing_key.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <array>
#include <cstdlib>

#include "artifact/digest.h"

namespace penstock::artifact {
namespace {

using Bio = std::unique_ptr<BIO, decltype(&BIO_free_all)>;
using Context = std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)>;

Bio reading(std::string_view text) {
  return {BIO_new_mem_buf(text.data(), static_cast<int>(text.size())), &BIO_free_all};
}

std::string text_of(BIO* bio) {
  char* data = nullptr;
  auto size = BIO_get_mem_data(bio, &data);
  return {data, static_cast<std::size_t>(size)};
}

const unsigned char* bytes_of(std::string_view text) { return reinterpret_cast<const unsigned char*>(text.data()); }

struct Algorithm {
  std::string_view name;
  std::string_view group;             // of the curve; empty: the key has none
  const EVP_MD* (*hash)() = nullptr;  // null: the algorithm has its own
};
constexpr std::array<Algorithm, 4> kAlgorithms{{{"Ed25519", "", nullptr},
                                                {"ECDSA P-256", "prime256v1", &EVP_sha256},
                                                {"ECDSA P-384", "secp384r1", &EVP_sha384},
                                                {"ECDSA P-521", "secp521r1", &EVP_sha512}}};

const Algorithm* algorithm_of(const EVP_PKEY* key) {
  if (EVP_PKEY_is_a(key, "ED25519") == 1) return &kAlgorithms[0];
  if (EVP_PKEY_is_a(key, "EC") != 1) return nullptr;
  std::array<char, 80> group{};
  std::size_t size = 0;
  if (EVP_PKEY_get_group_name(const_cast<EVP_PKEY*>(key), group.data(), group.size(), &size) != 1) return nullptr;
  for (const Algorithm& algorithm : kAlgorithms) {
    if (algorithm.group == std::string_view(group.data(), size)) return &algorithm;
  }
  return nullptr;
}

constexpr std::string_view kPublicBegin = "-----BEGIN PUBLIC KEY-----";
constexpr std::string_view kPublicEnd = "-----END PUBLIC KEY-----";

std::unexpected<Error> no_public_key(std::string_view pem) {
  std::string_view found = "what stands there is no PEM text";
  if (pem.find("PRIVATE KEY-----") != std::string_view::npos) {
    found = "this is a private key, which belongs to whoever signs: keep it away from here";
  } else if (pem.find("CERTIFICATE-----") != std::string_view::npos) {
    found = "this is a certificate; `openssl x509 -pubkey -noout -in FILE` prints its key";
  }
  return fail(Errc::invalid_argument, fmt::format("no public key ({}): {}", kPublicBegin, found));
}

}  // namespace

Result<PublicKey> PublicKey::adopt(std::shared_ptr<evp_pkey_st> key) {
  const Algorithm* algorithm = algorithm_of(key.get());
  if (algorithm == nullptr) {
    return fail(Errc::invalid_argument,
                "a key of a kind that is not taken: Ed25519 is, and ECDSA over P-256, P-384 and P-521");
  }
  PublicKey adopted;
  unsigned char* der = nullptr;
  int size = i2d_PUBKEY(key.get(), &der);
  if (size <= 0) return fail(Errc::invalid_argument, "a key that cannot be written as one");
  adopted.id_ = to_hex(sha256({reinterpret_cast<const char*>(der), static_cast<std::size_t>(size)})).substr(0, 16);
  OPENSSL_free(der);
  adopted.key_ = std::move(key);
  adopted.algorithm_ = algorithm->name;
  return adopted;
}

Result<std::vector<PublicKey>> PublicKey::parse(std::string_view pem) {
  std::vector<PublicKey> keys;
  for (std::size_t at = pem.find(kPublicBegin); at != std::string_view::npos; at = pem.find(kPublicBegin, at + 1)) {
    std::size_t end = pem.find(kPublicEnd, at);
    if (end == std::string_view::npos) return fail(Errc::invalid_argument, "a public key without its last line");
    Bio bio = reading(pem.substr(at, end + kPublicEnd.size() - at));
    std::shared_ptr<EVP_PKEY> key(PEM_read_bio_PUBKEY(bio.get(), nullptr, nullptr, nullptr), &EVP_PKEY_free);
    ERR_clear_error();
    if (!key) return fail(Errc::invalid_argument, "a public key that is damaged");
    auto adopted = adopt(std::move(key));
    if (!adopted) return std::unexpected(std::move(adopted.error()));
    keys.push_back(std::move(*adopted));
  }
  if (keys.empty()) return no_public_key(pem);
  return keys;
}

bool PublicKey::verifies(std::string_view message, std::string_view signature) const {
  const Algorithm* algorithm = algorithm_of(key_.get());
  const EVP_MD* hash = algorithm->hash == nullptr ? nullptr : algorithm->hash();
  Context context(EVP_MD_CTX_new(), &EVP_MD_CTX_free);
  bool good =
      context && EVP_DigestVerifyInit(context.get(), nullptr, hash, nullptr, key_.get()) == 1 &&
      EVP_DigestVerify(context.get(), bytes_of(signature), signature.size(), bytes_of(message), message.size()) == 1;
  ERR_clear_error();
  return good;
}

PrivateKey PrivateKey::generate() {
  std::shared_ptr<EVP_PKEY> key(EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519"), &EVP_PKEY_free);
  // Without random numbers no key is safe to make: there is nothing to go on with.
  if (!key) std::abort();
  return PrivateKey(std::move(key));
}

Result<PrivateKey> PrivateKey::parse(const base::Secret& pem) {
  Bio bio = reading(pem.reveal());
  // An empty password instead of a question at the terminal.
  auto no_password = [](char*, int, int, void*) { return 0; };
  std::shared_ptr<EVP_PKEY> key(PEM_read_bio_PrivateKey(bio.get(), nullptr, no_password, nullptr), &EVP_PKEY_free);
  ERR_clear_error();
  if (!key) {
    return fail(Errc::invalid_argument,
                "no private key in PEM without a password; `penstock artifact keygen` makes a pair");
  }
  if (auto known = PublicKey::adopt(key); !known) return std::unexpected(std::move(known.error()));
  return PrivateKey(std::move(key));
}

Result<std::string> PrivateKey::sign(std::string_view message) const {
  const Algorithm* algorithm = algorithm_of(key_.get());
  const EVP_MD* hash = algorithm->hash == nullptr ? nullptr : algorithm->hash();
  Context context(EVP_MD_CTX_new(), &EVP_MD_CTX_free);
  std::size_t size = 0;
  std::string signature;
  bool good = context && EVP_DigestSignInit(context.get(), nullptr, hash, nullptr, key_.get()) == 1 &&
              EVP_DigestSign(context.get(), nullptr, &size, bytes_of(message), message.size()) == 1;
  if (good) {
    signature.resize(size);
    good = EVP_DigestSign(context.get(), reinterpret_cast<unsigned char*>(signature.data()), &size, bytes_of(message),
                          message.size()) == 1;
    signature.resize(size);
  }
  ERR_clear_error();
  if (!good) return fail(Errc::internal, "the key does not sign");
  return signature;
}

base::Secret PrivateKey::pem() const {
  Bio bio(BIO_new(BIO_s_secmem()), &BIO_free_all);
  if (PEM_write_bio_PKCS8PrivateKey(bio.get(), key_.get(), nullptr, nullptr, 0, nullptr, nullptr) != 1) std::abort();
  return base::Secret(text_of(bio.get()));
}

std::string PrivateKey::public_pem() const {
  Bio bio(BIO_new(BIO_s_mem()), &BIO_free_all);
  if (PEM_write_bio_PUBKEY(bio.get(), key_.get()) != 1) std::abort();
  return text_of(bio.get());
}

}  // namespace penstock::artifact
