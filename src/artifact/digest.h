// Fingerprints of bytes, computed while they pass.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

struct evp_md_ctx_st;

namespace penstock::artifact {

enum class HashType {
  sha256,
  blake2b,  // of 512 bits (RFC 7693)
};

// "sha256", "blake2b": as sigstore's model signing writes them. Nothing for others.
std::optional<HashType> parse_hash_type(std::string_view name);

class Hasher {
 public:
  explicit Hasher(HashType type);
  void update(std::string_view bytes);
  // The raw digest of what came since the last finish(); starts anew.
  std::string finish();

 private:
  struct Free {
    void operator()(evp_md_ctx_st* context) const;
  };
  void start();
  HashType type_;
  std::unique_ptr<evp_md_ctx_st, Free> context_;
};

// Raw.
std::string sha256(std::string_view bytes);
std::string to_hex(std::string_view bytes);
// Either case; nothing for what is no hexadecimal text.
std::optional<std::string> from_hex(std::string_view text);

}  // namespace penstock::artifact
