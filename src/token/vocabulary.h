// The tokens of one vocabulary and their numbers. Built once, then read by any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace penstock::token {

class Vocabulary {
 public:
  static constexpr std::uint32_t kNone = 0xFFFFFFFF;
  static constexpr std::uint64_t kSeed = 0xCBF29CE484222325;  // FNV-1a's

  // The hash of a text is that of its beginning and then of what follows.
  static std::uint64_t hash(std::uint64_t before, char byte) {
    return (before ^ static_cast<unsigned char>(byte)) * 0x100000001B3;
  }
  static std::uint64_t hash(std::string_view text) {
    std::uint64_t value = kSeed;
    for (char byte : text) value = hash(value, byte);
    return value;
  }

  // False, and nothing changes, when the token is there already.
  bool add(std::string_view token, std::uint32_t id);
  std::uint32_t find(std::string_view token) const { return find(token, hash(token)); }
  std::uint32_t find(std::string_view token, std::uint64_t hash) const;
  std::size_t size() const { return entries_.size(); }
  std::size_t longest() const { return longest_; }  // bytes
  // The highest number and one; 0 when it is empty.
  std::uint32_t end_id() const { return end_id_; }

  template <class Visit>
  void each(Visit visit) const {
    for (const Entry& entry : entries_) visit(text_of(entry), entry.id);
  }

 private:
  struct Entry {
    std::uint32_t begin;
    std::uint32_t size;
    std::uint32_t id;
  };
  struct Slot {
    std::uint32_t mark;   // of the hash
    std::uint32_t entry;  // kNone: free
  };
  std::string_view text_of(const Entry& entry) const { return std::string_view(pool_).substr(entry.begin, entry.size); }
  static std::size_t place(std::uint64_t hash) { return static_cast<std::size_t>(hash * 0x9E3779B97F4A7C15 >> 20); }
  static std::uint32_t mark(std::uint64_t hash) { return static_cast<std::uint32_t>(hash ^ (hash >> 32)); }
  void grow();

  std::string pool_;
  std::vector<Entry> entries_;
  std::vector<Slot> slots_;  // a power of two
  std::size_t longest_ = 0;
  std::uint32_t end_id_ = 0;
};

}  // namespace penstock::token
