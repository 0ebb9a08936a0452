#include "token/encoding.h"

#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <filesystem>
#include <mutex>
#include <optional>

#include "token/merge.h"
#include "token/work_limit.h"

namespace penstock::token {
namespace {

struct Known {
  std::string_view name;
  std::string_view table;
  Pattern pattern;
};

// tiktoken_ext/openai_public.py: names that differ only in special tokens share a table.
constexpr auto kKnown = std::to_array<Known>({
    {"o200k_base", "o200k_base", Pattern::o200k},
    {"cl100k_base", "cl100k_base", Pattern::cl100k},
    {"o200k_harmony", "o200k_base", Pattern::o200k},
    {"p50k_base", "p50k_base", Pattern::r50k},
    {"p50k_edit", "p50k_base", Pattern::r50k},
    {"r50k_base", "r50k_base", Pattern::r50k},
    {"gpt2", "r50k_base", Pattern::r50k},
});

struct Loaded {
  std::once_flag once;
  std::optional<Encoding> encoding;
  Result<const Encoding*> result = nullptr;
};

std::vector<std::filesystem::path> folders() {
  if (const char* said = std::getenv("PENSTOCK_SHARE")) return {said};
  std::error_code error;
  auto program = std::filesystem::read_symlink("/proc/self/exe", error).parent_path();
  return {program / "share/penstock", program.parent_path() / "share/penstock"};
}

void load_table(const Known& known, Loaded& loaded) {
  std::string asked;
  for (const auto& folder : folders()) {
    auto ranks = Ranks::open(folder / fmt::format("{}.bpe", known.table), known.table);
    if (ranks) {
      loaded.encoding.emplace(known.name, known.pattern, std::move(*ranks));
      loaded.result = &*loaded.encoding;
      return;
    }
    loaded.result = std::unexpected(ranks.error());
    if (ranks.error().code != Errc::not_found) return;
    asked += fmt::format("{}{}", asked.empty() ? "" : " and ", folder.string());
  }
  loaded.result = fail(Errc::not_found,
                       fmt::format("{} has no table in {}: tokens are estimated. `./dev setup` and a build make it; "
                                   "PENSTOCK_SHARE names another folder",
                                   known.name, asked));
}

}  // namespace

const Result<const Encoding*>& Encoding::load(std::string_view name) {
  static std::array<Loaded, kKnown.size()> all;
  static const Result<const Encoding*> unknown = fail(Errc::invalid_argument, "no encoding has this name");
  for (std::size_t i = 0; i < kKnown.size(); ++i) {
    if (kKnown[i].name != name) continue;
    std::call_once(all[i].once, load_table, kKnown[i], all[i]);
    return all[i].result;
  }
  return unknown;
}

const Encoding* Encoding::find(std::string_view name) {
  const auto& found = load(name);
  return found ? *found : nullptr;
}

namespace {

// Measured; in the units of WorkLimit.
std::int64_t work_of(std::size_t bytes, bool merged) {
  constexpr std::size_t kShort = 16;
  constexpr std::int64_t kShortMerge = 25, kLongMerge = 70;
  std::int64_t each = !merged ? 1 : bytes <= kShort ? kShortMerge : kLongMerge;
  return static_cast<std::int64_t>(bytes) * each;
}

std::size_t count_within(WorkLimit& limit, const Ranks& ranks, NextPiece next_piece, std::string_view text) {
  std::size_t count = 0;
  bool open = false;
  const char* end = text.data() + text.size();
  for (const char* at = text.data(); at != end;) {
    const char* next = next_piece(at, end, open);
    auto size = static_cast<std::size_t>(next - at);
    bool merged = ranks.find(at, size, end) == Ranks::kNone;
    if (!limit.take(work_of(size, merged)))
      return count + static_cast<std::size_t>(most_tokens({at, static_cast<std::size_t>(end - at)}));
    count += merged ? count_merged(ranks, {at, size}) : 1;
    at = next;
  }
  return count;
}

}  // namespace

Encoding::Encoding(std::string_view name, Pattern pattern, Ranks ranks)
    : name_(name), ranks_(std::move(ranks)), next_piece_(token::next_piece(pattern)) {}

std::size_t Encoding::count_merged_piece(const char* at, std::size_t size) const {
  return count_merged(ranks_, {at, size});
}

std::size_t Encoding::count(std::string_view text) const {
  std::size_t count = 0;
  bool open = false;
  const char* end = text.data() + text.size();
  if (WorkLimit* limit = WorkLimit::current()) return count_within(*limit, ranks_, next_piece_, text);
  for (const char* at = text.data(); at != end;) {
    const char* next = next_piece_(at, end, open);
    count += count_piece(at, next, end);
    at = next;
  }
  return count;
}

std::vector<std::uint32_t> Encoding::encode(std::string_view text) const {
  std::vector<std::uint32_t> tokens;
  bool open = false;
  const char* end = text.data() + text.size();
  for (const char* at = text.data(); at != end;) {
    const char* next = next_piece_(at, end, open);
    auto size = static_cast<std::size_t>(next - at);
    std::uint32_t token = ranks_.find(at, size, end);
    if (token != Ranks::kNone) {
      tokens.push_back(token);
    } else {
      encode_merged(ranks_, {at, size}, tokens);
    }
    at = next;
  }
  return tokens;
}

// Counts the pieces that no further text can change; returns how many bytes these are.
std::size_t Counter::count_closed(std::string_view text) {
  const char* end = text.data() + text.size();
  const char* at = text.data();
  while (at != end) {
    bool open = false;
    const char* next = encoding_->next_piece()(at, end, open);
    if (open) break;
    count_ += encoding_->count_piece(at, next, end);
    at = next;
  }
  return static_cast<std::size_t>(at - text.data());
}

void Counter::feed(std::string_view part) {
  if (!pending_.empty()) {
    pending_ += part;
    if (pending_.size() < try_at_) return;
    pending_.erase(0, count_closed(pending_));
  } else {
    pending_ = part.substr(count_closed(part));
  }
  try_at_ = pending_.size() < kOftenBytes ? 0 : pending_.size() * 2;
}

std::size_t Counter::finish() {
  std::size_t whole = count_ + encoding_->count(pending_);
  count_ = 0;
  pending_.clear();
  return whole;
}

}  // namespace penstock::token
