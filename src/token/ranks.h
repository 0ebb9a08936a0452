// The tokens of one encoding and the order in which they merge: a table ready to use in a file, written once by
// pack_ranks() and mapped by whoever counts. A token's number is its rank.
//
// The file, little-endian: the Header; the slots of a hash table from bytes to token; where each token's bytes begin
// (tokens + 1 numbers); from which two tokens each is merged; a table, with as many places as slots, of how long the
// tokens get that begin with some bytes; the size of the longest other token each begins with; the tokens' bytes.
// Checked as a whole when it is opened; must not be written to while mapped (replacing it by rename is fine).
#pragma once

#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"

namespace penstock::token {

class Ranks {
 public:
  static constexpr std::uint32_t kNone = 0xFFFFFFFF;
  static constexpr std::size_t kLongestMax = 128;  // bytes of a token; of the published encodings, too

  struct Halves {
    std::uint32_t left;  // kNone for single bytes and for numbers that are no token
    std::uint32_t right;
  };

  // Maps the file. not_found when there is none, data_loss when it is damaged, failed_precondition when it is another
  // encoding's or another version's.
  static Result<Ranks> open(const std::string& path, std::string_view name);
  // The same over bytes that outlive it.
  static Result<Ranks> read(std::string_view bytes, std::string_view name);

  // The token of exactly these bytes; kNone when there is none. `end`: how far reading beyond them is allowed.
  std::uint32_t find(const char* at, std::size_t size, const char* end) const {
    if (size > 8) return size > kLongestMax ? kNone : find_long(at, size);
    if (end - at < 8) return find_short(short_key(at, size), size);
    std::uint64_t key;
    std::memcpy(&key, at, 8);
    return find_short(key & (~std::uint64_t{0} >> (64 - 8 * size)), size);  // size > 0
  }

  // Of all behind a file's header: finds damage, not malice.
  static std::uint64_t checksum(std::string_view bytes);

  std::uint32_t tokens() const { return tokens_; }
  std::string_view bytes_of(std::uint32_t token) const {
    return {pool_ + offsets_[token], offsets_[token + 1] - offsets_[token]};
  }
  std::size_t size_of(std::uint32_t token) const { return offsets_[token + 1] - offsets_[token]; }
  Halves halves_of(std::uint32_t token) const { return halves_[token]; }
  // The longest token at the beginning of [at, end), which is not empty.
  std::uint32_t longest(const char* at, const char* end) const;
  // The longest token with which `token`, whose bytes stand at `at`, begins; kNone for single bytes.
  std::uint32_t shorter(std::uint32_t token, const char* at, const char* end) const {
    std::size_t size = prefixes_[token];
    return size == 0 ? kNone : find(at, size, end);
  }

 private:
  friend Result<std::string> pack_ranks(std::string_view name, std::string_view published);

  struct Slot {
    std::uint64_t key;  // the bytes themselves, or a hash of more than eight
    std::uint32_t token;
    std::uint32_t size;  // 0: free
  };
  struct Header {
    char magic[8];
    std::uint32_t version;
    std::uint32_t tokens;
    std::uint32_t slots;  // a power of two
    std::uint32_t pool;   // bytes
    char name[32];
    std::uint64_t checksum;  // of all that follows
  };
  static constexpr char kMagic[8] = {'P', 'E', 'N', 'B', 'P', 'E', '\r', '\n'};
  static constexpr std::uint32_t kVersion = 1;

  static std::uint64_t short_key(const char* at, std::size_t size) {
    std::uint64_t key = 0;
    for (std::size_t i = 0; i < size; ++i) key |= std::uint64_t{static_cast<unsigned char>(at[i])} << (8 * i);
    return key;
  }
  static std::uint64_t long_key(const char* at, std::size_t size);
  // Where starts_ says how long tokens get that begin with these bytes: 4, 8, 16, 32 or 64 of them.
  static std::size_t start_at(const char* at, std::size_t size, unsigned shift) {
    std::uint64_t key = size == 4 ? short_key(at, 4) : long_key(at, size);
    return static_cast<std::size_t>((key + size) * 0xC2B2AE3D27D4EB4F >> shift);
  }
  static std::size_t place(std::uint64_t key, std::size_t size, unsigned shift) {
    return static_cast<std::size_t>(((key ^ (key >> 32)) + size) * 0x9E3779B97F4A7C15 >> shift);
  }

  std::uint32_t find_short(std::uint64_t key, std::size_t size) const {
    for (std::size_t i = place(key, size, shift_);; i = (i + 1) & mask_) {
      const Slot& slot = slots_[i];
      if (slot.key == key && slot.size == size) return slot.token;
      if (slot.size == 0) return kNone;
    }
  }
  std::uint32_t find_long(const char* at, std::size_t size) const;
  bool is_sound(std::size_t pool) const;

  const Slot* slots_ = nullptr;
  const std::uint32_t* offsets_ = nullptr;
  const Halves* halves_ = nullptr;
  const std::uint8_t* starts_ = nullptr;
  const std::uint8_t* prefixes_ = nullptr;
  const char* pool_ = nullptr;
  std::size_t mask_ = 0;
  unsigned shift_ = 0;
  std::uint32_t tokens_ = 0;
  std::shared_ptr<const void> mapping_;
};

// The file for one encoding from the text published for tiktoken: a line per token, its bytes in base64 and its rank.
// Refuses what is no such text, and ranks whose tokens are not each merged from two earlier ones (Encoding relies on
// it). For the build and for tests.
Result<std::string> pack_ranks(std::string_view name, std::string_view published);

}  // namespace penstock::token
