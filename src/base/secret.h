// A string that must never be seen: wiped when destroyed, and with no way to be printed by accident.
#pragma once

#include <string>
#include <string_view>

namespace penstock::base {

class Secret {
 public:
  Secret() = default;
  explicit Secret(std::string value) : value_(std::move(value)) {}
  Secret(const Secret&) = default;
  Secret& operator=(const Secret& other);
  Secret(Secret&& other) noexcept;
  Secret& operator=(Secret&& other) noexcept;
  ~Secret() { wipe(); }

  // The one way to the bytes. Call it where they go on the wire or into a hash, nowhere else.
  std::string_view reveal() const { return value_; }
  bool empty() const { return value_.empty(); }

 private:
  void wipe() noexcept;
  std::string value_;
};

// Equal in time that depends on the lengths only.
bool constant_time_equal(std::string_view a, std::string_view b);

// Lower-case hex of HMAC-SHA-256(key, message), RFC 2104.
std::string hmac_sha256_hex(std::string_view key, std::string_view message);

// `bytes` random bytes of the operating system's generator as URL-safe characters (RFC 4648 section 5, no padding).
std::string random_token(std::size_t bytes);

}  // namespace penstock::base
