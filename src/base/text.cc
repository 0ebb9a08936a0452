#include "base/text.h"

#include <utility>
#include <vector>

namespace penstock::base {
namespace {

// 32 strings of at most 4 KiB: what the calls of one burst hold at once, and little to keep.
constexpr std::size_t kKeptMax = 32;
constexpr std::size_t kKeptBytes = 4096;
constexpr std::size_t kFirstBytes = 512;

std::vector<std::string>& store() {
  thread_local std::vector<std::string> kept = [] {
    std::vector<std::string> room;
    room.reserve(kKeptMax);
    return room;
  }();
  return kept;
}

}  // namespace

std::string RecycledString::take() {
  std::vector<std::string>& kept = store();
  std::string text;
  if (kept.empty()) {
    text.reserve(kFirstBytes);
  } else {
    text.swap(kept.back());
    kept.pop_back();
  }
  return text;
}

void RecycledString::give(std::string text) noexcept {
  std::vector<std::string>& kept = store();
  // A moved-from string has nothing worth keeping.
  if (text.capacity() < kFirstBytes || text.capacity() > kKeptBytes || kept.size() >= kKeptMax) return;
  text.clear();
  kept.push_back(std::move(text));
}

}  // namespace penstock::base
