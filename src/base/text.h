// Appending to strings where formatting libraries are too slow: one growth and plain copies.
#pragma once

#include <charconv>
#include <concepts>
#include <cstring>
#include <string>
#include <string_view>

namespace penstock::base {

template <class... Pieces>
void append(std::string& out, const Pieces&... pieces) {
  auto copy = [](char*& to, std::string_view piece) {
    if (!piece.empty()) std::memcpy(to, piece.data(), piece.size());
    to += piece.size();
  };
  std::size_t before = out.size();
  std::size_t after = before + (std::string_view(pieces).size() + ...);
  out.resize_and_overwrite(after, [&](char* text, std::size_t) {
    char* to = text + before;
    (copy(to, std::string_view(pieces)), ...);
    return after;  // some libraries hand over the capacity as the size
  });
}

// The digits of a number, as a piece for append().
class Digits {
 public:
  explicit Digits(std::integral auto number, int base = 10)
      : size_(static_cast<std::size_t>(std::to_chars(text_, text_ + sizeof text_, number, base).ptr - text_)) {}
  operator std::string_view() const { return {text_, size_}; }  // NOLINT(google-explicit-constructor): it is text

 private:
  char text_[24];
  std::size_t size_;
};

// A string whose memory comes from, and goes back to, a small store of its thread: for the few hundred bytes that every
// call needs for a moment.
class RecycledString {
 public:
  RecycledString() : text_(take()) {}
  ~RecycledString() { give(std::move(text_)); }
  RecycledString(RecycledString&& other) noexcept : text_(std::move(other.text_)) {}
  RecycledString& operator=(RecycledString&& other) noexcept {
    text_.swap(other.text_);
    return *this;
  }
  std::string& operator*() { return text_; }
  const std::string& operator*() const { return text_; }
  std::string* operator->() { return &text_; }
  const std::string* operator->() const { return &text_; }

 private:
  static std::string take();
  static void give(std::string text) noexcept;
  std::string text_;
};

}  // namespace penstock::base
