// The encryption of one segment: AES-256-GCM per frame, under a key that only this segment has.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/secret.h"

struct evp_cipher_ctx_st;

namespace penstock::spool {

inline constexpr std::size_t kKeyBytes = 32;
inline constexpr std::size_t kSaltBytes = 32;
inline constexpr std::size_t kTagBytes = 16;

std::string make_salt();

// Used by one thread.
class Cipher {
 public:
  // Key of the segment: HKDF-SHA-256 (RFC 5869) of `key`, which has kKeyBytes, and the segment's salt.
  Cipher(const base::Secret& key, std::string_view salt);
  ~Cipher();
  Cipher(const Cipher&) = delete;
  Cipher& operator=(const Cipher&) = delete;

  // Derived beside the segment's key: tells another key from damaged bytes, and nothing about the key.
  std::uint64_t key_check() const { return key_check_; }
  // Encrypts in place from `at` on and appends the tag. `number` is the nonce: never twice in one segment.
  void seal(std::string& bytes, std::size_t at, std::uint64_t number, std::string_view associated);
  // In place; takes the tag off the end. False: not what was sealed; `bytes` is useless then.
  bool unseal(std::string& bytes, std::uint64_t number, std::string_view associated);

 private:
  void start(bool sealing, std::uint64_t number, std::string_view associated);

  std::unique_ptr<evp_cipher_ctx_st, void (*)(evp_cipher_ctx_st*)> context_;
  base::Secret key_;
  std::uint64_t key_check_ = 0;
};

}  // namespace penstock::spool
