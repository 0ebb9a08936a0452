// The keyed hash that secrets are known by.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace penstock::flow {

using SecretHash = std::array<std::uint8_t, 32>;

// HMAC-SHA-256 (RFC 2104) under one key. The block that the key fills in both passes is hashed once, here: a short
// secret costs two more. Any thread.
class SecretHasher {
 public:
  explicit SecretHasher(std::string_view key);
  SecretHasher(const SecretHasher&) = delete;
  SecretHasher& operator=(const SecretHasher&) = delete;
  ~SecretHasher();
  SecretHash operator()(std::string_view secret) const;

 private:
  struct States;
  std::unique_ptr<States> states_;
};

// As the store keeps it: 64 lower-case hex digits. False for anything else.
bool read_hex(std::string_view hex, SecretHash& hash);

}  // namespace penstock::flow
