#include "artifact/digest.h"

#include <openssl/evp.h>

#include <array>
#include <cstdlib>

namespace penstock::artifact {
namespace {

const EVP_MD* algorithm(HashType type) { return type == HashType::sha256 ? EVP_sha256() : EVP_blake2b512(); }

int digit_of(char letter) {
  if (letter >= '0' && letter <= '9') return letter - '0';
  char lower = static_cast<char>(letter | 0x20);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

}  // namespace

std::optional<HashType> parse_hash_type(std::string_view name) {
  if (name == "sha256") return HashType::sha256;
  if (name == "blake2b") return HashType::blake2b;
  return std::nullopt;
}

void Hasher::Free::operator()(evp_md_ctx_st* context) const { EVP_MD_CTX_free(context); }

Hasher::Hasher(HashType type) : type_(type), context_(EVP_MD_CTX_new()) { start(); }

// The library fails here only without memory: nothing that could be checked any more.
void Hasher::start() {
  if (!context_ || EVP_DigestInit_ex(context_.get(), algorithm(type_), nullptr) != 1) std::abort();
}

void Hasher::update(std::string_view bytes) {
  if (EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size()) != 1) std::abort();
}

std::string Hasher::finish() {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int size = 0;
  if (EVP_DigestFinal_ex(context_.get(), digest.data(), &size) != 1) std::abort();
  start();
  return {reinterpret_cast<const char*>(digest.data()), size};
}

std::string sha256(std::string_view bytes) {
  Hasher hasher(HashType::sha256);
  hasher.update(bytes);
  return hasher.finish();
}

std::string to_hex(std::string_view bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  text.reserve(bytes.size() * 2);
  for (char byte : bytes) {
    auto value = static_cast<unsigned char>(byte);
    text += kDigits[value >> 4U];
    text += kDigits[value & 15U];
  }
  return text;
}

std::optional<std::string> from_hex(std::string_view text) {
  if (text.size() % 2 != 0) return std::nullopt;
  std::string bytes;
  bytes.reserve(text.size() / 2);
  for (std::size_t i = 0; i < text.size(); i += 2) {
    int high = digit_of(text[i]);
    int low = digit_of(text[i + 1]);
    if (high < 0 || low < 0) return std::nullopt;
    bytes += static_cast<char>(high * 16 + low);
  }
  return bytes;
}

}  // namespace penstock::artifact
