// How text becomes tokens, exactly as OpenAI's tiktoken does it (encode_ordinary: what looks like a special token is
// text). Bytes that are no UTF-8 count as bytes, each one symbol of its own; tiktoken never sees such.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "token/ranks.h"
#include "token/splitter.h"

namespace penstock::token {

// Immutable; lives as long as the process; any thread.
class Encoding {
 public:
  // o200k_base, o200k_harmony, cl100k_base, p50k_base, p50k_edit, r50k_base or gpt2. The first call for one reads its
  // table, some 2 ms: do it before there is traffic, and before the process gives up its rights. Looked for in
  // $PENSTOCK_SHARE if that is set, else in share/penstock beside the program or beside its folder. invalid_argument
  // for another name; not_found, data_loss or failed_precondition, for good, when the table cannot be used.
  static const Result<const Encoding*>& load(std::string_view name);
  // The same; null instead of an error.
  static const Encoding* find(std::string_view name);

  Encoding(std::string_view name, Pattern pattern, Ranks ranks);

  std::string_view name() const { return name_; }
  // Over 40 MB/s for prose and code, some 5 MB/s for what is one endless word. Allocates nothing.
  std::size_t count(std::string_view text) const;
  std::vector<std::uint32_t> encode(std::string_view text) const;
  std::size_t count_piece(const char* at, const char* piece_end, const char* text_end) const {
    auto size = static_cast<std::size_t>(piece_end - at);
    return ranks_.find(at, size, text_end) != Ranks::kNone ? 1 : count_merged_piece(at, size);
  }
  NextPiece next_piece() const { return next_piece_; }

 private:
  std::size_t count_merged_piece(const char* at, std::size_t size) const;

  std::string name_;
  Ranks ranks_;
  NextPiece next_piece_;
};

// Counts a text that comes in parts; however it is cut, the count is that of the whole. Keeps the piece that is not
// finished: a word, at worst the longest run of letters, blanks or symbols. One thread at a time.
class Counter {
 public:
  explicit Counter(const Encoding& encoding) : encoding_(&encoding) {}

  void feed(std::string_view part);
  // The count of all that was fed. Afterwards it counts a new text.
  std::size_t finish();
  // What is certain so far.
  std::size_t so_far() const { return count_; }

 private:
  static constexpr std::size_t kOftenBytes = 256;

  std::size_t count_closed(std::string_view text);

  const Encoding* encoding_;
  std::size_t count_ = 0;
  std::string pending_;
  std::size_t try_at_ = 0;  // do not look at less than this much: looking at a growing word each time is quadratic
};

}  // namespace penstock::token
