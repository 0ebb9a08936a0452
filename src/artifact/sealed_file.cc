#include "artifact/sealed_file.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <openssl/rand.h>

#include <array>
#include <cstdlib>

#include "artifact/digest.h"
#include "chat/base64.h"

namespace penstock::artifact {
namespace {

constexpr std::string_view kMagic = "PNSTKENC";
constexpr char kVersion = 1;
constexpr std::size_t kSaltAt = 12;
constexpr std::size_t kPrefixAt = 44;
constexpr std::size_t kPrefixBytes = 7;
constexpr std::size_t kHeaderBytes = kPrefixAt + kPrefixBytes;
constexpr std::size_t kKeyBytes = 32;
constexpr std::size_t kSegmentBytes = 64 * 1024;
constexpr std::size_t kTagBytes = 16;
constexpr std::string_view kPurpose = "penstock model file 1";

using Nonce = std::array<unsigned char, 12>;

unsigned char* bytes_of(char* text) { return reinterpret_cast<unsigned char*>(text); }
const unsigned char* bytes_of(const char* text) { return reinterpret_cast<const unsigned char*>(text); }

// Out of memory or out of random numbers: nothing safe can follow.
void must(bool done) {
  if (!done) std::abort();
}

base::Secret file_key(const base::Secret& key, std::string_view header) {
  std::unique_ptr<EVP_KDF, decltype(&EVP_KDF_free)> kdf(EVP_KDF_fetch(nullptr, "HKDF", nullptr), &EVP_KDF_free);
  std::unique_ptr<EVP_KDF_CTX, decltype(&EVP_KDF_CTX_free)> context(EVP_KDF_CTX_new(kdf.get()), &EVP_KDF_CTX_free);
  auto octets = [](const char* name, std::string_view bytes) {
    return OSSL_PARAM_construct_octet_string(name, const_cast<char*>(bytes.data()), bytes.size());
  };
  std::string hash = "SHA256";
  std::array<OSSL_PARAM, 5> parameters{
      OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, hash.data(), hash.size()),
      octets(OSSL_KDF_PARAM_KEY, key.reveal()), octets(OSSL_KDF_PARAM_SALT, header.substr(kSaltAt, kKeyBytes)),
      octets(OSSL_KDF_PARAM_INFO, kPurpose), OSSL_PARAM_construct_end()};
  std::string derived(kKeyBytes, '\0');
  must(EVP_KDF_derive(context.get(), bytes_of(derived.data()), derived.size(), parameters.data()) == 1);
  return base::Secret(std::move(derived));
}

// One file's cipher, in one direction.
class Segments {
 public:
  Segments(const base::Secret& key, std::string_view header, bool sealing)
      : context_(EVP_CIPHER_CTX_new(), &EVP_CIPHER_CTX_free), header_(header), sealing_(sealing) {
    base::Secret derived = file_key(key, header);
    must(EVP_CipherInit_ex2(context_.get(), EVP_aes_256_gcm(), bytes_of(derived.reveal().data()), nullptr,
                            sealing ? 1 : 0, nullptr) == 1);
  }

  // In place; `tag` is written when sealing, checked otherwise.
  bool run(char* bytes, std::size_t size, std::uint32_t number, bool last, char* tag) {
    Nonce nonce = nonce_of(number, last);
    int out = 0;
    must(EVP_CipherInit_ex2(context_.get(), nullptr, nullptr, nonce.data(), sealing_ ? 1 : 0, nullptr) == 1);
    if (!sealing_) must(EVP_CIPHER_CTX_ctrl(context_.get(), EVP_CTRL_GCM_SET_TAG, kTagBytes, tag) == 1);
    must(EVP_CipherUpdate(context_.get(), nullptr, &out, bytes_of(header_.data()), static_cast<int>(header_.size())) ==
         1);
    must(EVP_CipherUpdate(context_.get(), bytes_of(bytes), &out, bytes_of(bytes), static_cast<int>(size)) == 1);
    if (EVP_CipherFinal_ex(context_.get(), bytes_of(bytes) + out, &out) != 1) return false;
    if (sealing_) must(EVP_CIPHER_CTX_ctrl(context_.get(), EVP_CTRL_GCM_GET_TAG, kTagBytes, tag) == 1);
    return true;
  }

 private:
  Nonce nonce_of(std::uint32_t number, bool last) const {
    Nonce nonce{};
    std::memcpy(nonce.data(), header_.data() + kPrefixAt, kPrefixBytes);
    for (std::size_t i = 0; i < 4; ++i)
      nonce[kPrefixBytes + i] = static_cast<unsigned char>((number >> (24 - 8 * i)) & 0xFFU);
    nonce[11] = last ? 1 : 0;
    return nonce;
  }

  std::unique_ptr<EVP_CIPHER_CTX, decltype(&EVP_CIPHER_CTX_free)> context_;
  std::string header_;
  bool sealing_;
};

std::string make_header() {
  std::string header(kMagic);
  header += kVersion;
  header.append(3, '\0');
  header.resize(kHeaderBytes);
  must(RAND_bytes(bytes_of(header.data() + kSaltAt), static_cast<int>(kHeaderBytes - kSaltAt)) == 1);
  return header;
}

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kBlanks = " \t\r\n";
  std::size_t first = text.find_first_not_of(kBlanks);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlanks) - first + 1);
}

// Of what follows the header; 0: no such file exists.
std::size_t segment_count(std::size_t body) {
  constexpr std::size_t kFull = kSegmentBytes + kTagBytes;
  std::size_t count = (body + kFull - 1) / kFull;
  return count == 0 || body - (count - 1) * kFull < kTagBytes || count > UINT32_MAX ? 0 : count;
}

std::unexpected<Error> broken(std::size_t number, std::size_t count) {
  if (number == 0) {
    return fail(Errc::data_loss,
                "it does not open with this encryption_key: the key is another one, or its beginning was changed");
  }
  return fail(Errc::data_loss,
              fmt::format("segment {} of {} of the encrypted file is not what was written there: it was "
                          "changed, moved, or the file was cut",
                          number + 1, count));
}

}  // namespace

Result<base::Secret> parse_encryption_key(const base::Secret& text) {
  std::string_view written = trimmed(text.reveal());
  auto bytes = written.size() == 2 * kKeyBytes ? from_hex(written) : chat::read_base64(written);
  base::Secret key(bytes ? std::move(*bytes) : std::string());
  if (key.reveal().size() == kKeyBytes) return key;
  return fail(Errc::invalid_argument,
              "an encryption key is 32 bytes: 64 hexadecimal digits or 44 of base64; `penstock artifact keygen "
              "--encryption` makes one");
}

base::Secret make_encryption_key() {
  std::string key(kKeyBytes, '\0');
  must(RAND_bytes(bytes_of(key.data()), static_cast<int>(key.size())) == 1);
  std::string hex = to_hex(key);
  OPENSSL_cleanse(key.data(), key.size());
  return base::Secret(std::move(hex));
}

bool is_sealed(std::string_view bytes) { return bytes.starts_with(kMagic); }

std::string seal(std::string_view plain, const base::Secret& key) {
  std::string sealed = make_header();
  Segments segments(key, sealed, true);
  std::size_t count = std::max<std::size_t>(1, (plain.size() + kSegmentBytes - 1) / kSegmentBytes);
  sealed.reserve(sealed.size() + plain.size() + count * kTagBytes);
  for (std::size_t number = 0; number < count; ++number) {
    std::string_view part = plain.substr(number * kSegmentBytes, kSegmentBytes);
    std::size_t at = sealed.size();
    sealed += part;
    sealed.append(kTagBytes, '\0');
    char* begin = sealed.data() + at;
    segments.run(begin, part.size(), static_cast<std::uint32_t>(number), number + 1 == count, begin + part.size());
  }
  return sealed;
}

Result<std::string> unseal(std::string sealed, const base::Secret& key) {
  if (!is_sealed(sealed)) return fail(Errc::invalid_argument, "it is not encrypted");
  if (sealed.size() > kMagic.size() && sealed[kMagic.size()] != kVersion)
    return fail(Errc::unimplemented, "it is encrypted in a way that a newer release of Penstock made");
  std::size_t count = sealed.size() < kHeaderBytes ? 0 : segment_count(sealed.size() - kHeaderBytes);
  if (count == 0) return fail(Errc::data_loss, "the encrypted file is cut");
  Segments segments(key, std::string_view(sealed).substr(0, kHeaderBytes), false);
  std::size_t from = kHeaderBytes;
  std::size_t to = 0;
  for (std::size_t number = 0; number < count; ++number) {
    std::size_t size = std::min(kSegmentBytes, sealed.size() - from - kTagBytes);
    std::array<char, kTagBytes> tag{};
    std::memcpy(tag.data(), sealed.data() + from + size, kTagBytes);
    std::memmove(sealed.data() + to, sealed.data() + from, size);
    if (!segments.run(sealed.data() + to, size, static_cast<std::uint32_t>(number), number + 1 == count, tag.data())) {
      OPENSSL_cleanse(sealed.data(), sealed.size());
      return broken(number, count);
    }
    from += size + kTagBytes;
    to += size;
  }
  OPENSSL_cleanse(sealed.data() + to, sealed.size() - to);
  sealed.resize(to);
  return sealed;
}

std::shared_ptr<const std::string> wiped_at_end(std::string bytes) {
  return {new std::string(std::move(bytes)), [](std::string* held) {
            OPENSSL_cleanse(held->data(), held->size());
            delete held;
          }};
}

}  // namespace penstock::artifact
