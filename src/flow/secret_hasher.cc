// OpenSSL's interface that replaces these functions allocates and looks up the algorithm with every copy of a state,
// which costs more than the hash.
#define OPENSSL_SUPPRESS_DEPRECATED

#include "flow/secret_hasher.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>

#include <cstring>

namespace penstock::flow {

struct SecretHasher::States {
  SHA256_CTX inner;
  SHA256_CTX outer;
};

SecretHasher::SecretHasher(std::string_view key) : states_(std::make_unique<States>()) {
  std::array<unsigned char, SHA256_CBLOCK> block{};
  if (key.size() > block.size()) {
    SHA256(reinterpret_cast<const unsigned char*>(key.data()), key.size(), block.data());
  } else {
    std::memcpy(block.data(), key.data(), key.size());
  }
  auto begin = [&](SHA256_CTX& state, unsigned char pad) {
    std::array<unsigned char, SHA256_CBLOCK> padded{};
    for (std::size_t i = 0; i < block.size(); ++i) padded[i] = block[i] ^ pad;
    SHA256_Init(&state);
    SHA256_Update(&state, padded.data(), padded.size());
    OPENSSL_cleanse(padded.data(), padded.size());
  };
  begin(states_->inner, 0x36);
  begin(states_->outer, 0x5c);
  OPENSSL_cleanse(block.data(), block.size());
}

SecretHasher::~SecretHasher() { OPENSSL_cleanse(states_.get(), sizeof *states_); }

SecretHash SecretHasher::operator()(std::string_view secret) const {
  SecretHash hash;
  SHA256_CTX state = states_->inner;
  SHA256_Update(&state, secret.data(), secret.size());
  SHA256_Final(hash.data(), &state);
  state = states_->outer;
  SHA256_Update(&state, hash.data(), hash.size());
  SHA256_Final(hash.data(), &state);
  return hash;
}

bool read_hex(std::string_view hex, SecretHash& hash) {
  if (hex.size() != 2 * hash.size()) return false;
  auto digit = [](char c) { return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1; };
  for (std::size_t i = 0; i < hash.size(); ++i) {
    int high = digit(hex[2 * i]);
    int low = digit(hex[2 * i + 1]);
    if (high < 0 || low < 0) return false;
    hash[i] = static_cast<std::uint8_t>(high * 16 + low);
  }
  return true;
}

}  // namespace penstock::flow
