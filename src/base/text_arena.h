// Texts that stay where they are for as long as the arena lives, close together: for very many small ones.
#pragma once

#include <memory>
#include <string_view>
#include <vector>

namespace penstock::base {

// Not thread-safe; what it keeps is, for it never changes.
class TextArena {
 public:
  std::string_view keep(std::string_view text) {
    if (text.empty()) return {"", 0};
    if (text.size() > room_) {
      std::size_t size = text.size() > kBlockBytes ? text.size() : kBlockBytes;
      blocks_.push_back(std::make_unique<char[]>(size));  // NOLINT(modernize-avoid-c-arrays): of a size known late
      next_ = blocks_.back().get();
      room_ = size;
    }
    char* at = next_;
    text.copy(at, text.size());
    next_ += text.size();
    room_ -= text.size();
    return {at, text.size()};
  }

 private:
  static constexpr std::size_t kBlockBytes = std::size_t{64} << 10U;
  std::vector<std::unique_ptr<char[]>> blocks_;  // NOLINT(modernize-avoid-c-arrays)
  char* next_ = nullptr;
  std::size_t room_ = 0;
};

}  // namespace penstock::base
