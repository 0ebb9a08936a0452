#include <fmt/format.h>

#include <bit>
#include <charconv>
#include <optional>
#include <unordered_map>
#include <vector>

#include "chat/base64.h"
#include "token/ranks.h"

namespace penstock::token {
namespace {

constexpr std::uint32_t kTokensMax = 1U << 24;
using Numbers = std::unordered_map<std::string_view, std::uint32_t>;

Result<std::vector<std::string>> read_published(std::string_view text) {
  std::vector<std::string> tokens;
  for (std::size_t line = 1; !text.empty(); ++line) {
    std::string_view row = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(row.size() + 1, text.size()));
    if (row.empty()) continue;
    std::size_t space = std::min(row.find(' '), row.size() - 1);
    auto bytes = chat::read_base64(row.substr(0, space));
    std::uint32_t rank = 0;
    auto [end, error] = std::from_chars(row.data() + space + 1, row.data() + row.size(), rank);
    if (!bytes || bytes->empty() || bytes->size() > Ranks::kLongestMax || error != std::errc{} ||
        end != row.data() + row.size() || rank >= kTokensMax) {
      return fail(Errc::invalid_argument, fmt::format("line {}: expected bytes in base64 and a rank", line));
    }
    if (tokens.size() <= rank) tokens.resize(rank + 1);
    if (!tokens[rank].empty()) return fail(Errc::invalid_argument, fmt::format("line {}: rank {} again", line, rank));
    tokens[rank] = std::move(*bytes);
  }
  return tokens;
}

// The two tokens that `whole` is merged from when merges go by rank; nothing when it is never merged.
std::optional<std::pair<std::uint32_t, std::uint32_t>> halves_of(std::string_view whole, std::uint32_t rank,
                                                                 const Numbers& numbers) {
  std::vector<std::size_t> starts;
  for (std::size_t i = 0; i <= whole.size(); ++i) starts.push_back(i);
  auto number = [&](std::size_t from, std::size_t to) {
    auto found = numbers.find(whole.substr(starts[from], starts[to] - starts[from]));
    return found == numbers.end() ? Ranks::kNone : found->second;
  };
  while (starts.size() > 3) {
    std::uint32_t least = rank;
    std::size_t where = 0;
    for (std::size_t i = 0; i + 2 < starts.size(); ++i) {
      std::uint32_t merged = number(i, i + 2);
      if (merged < least) least = merged, where = i;
    }
    if (least == rank) return std::nullopt;
    starts.erase(starts.begin() + static_cast<std::ptrdiff_t>(where) + 1);
  }
  std::pair halves(number(0, 1), number(1, 2));
  if (halves.first >= rank || halves.second >= rank) return std::nullopt;
  return halves;
}

// The size of the longest other token it begins with; 0 for none.
std::uint8_t prefix_of(std::string_view bytes, const Numbers& numbers) {
  std::size_t size = bytes.empty() ? 0 : bytes.size() - 1;
  while (size > 0 && !numbers.contains(bytes.substr(0, size))) --size;
  return static_cast<std::uint8_t>(size);
}

template <class T>
void append(std::string& out, const std::vector<T>& values) {
  out.append(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T));
}

}  // namespace

Result<std::string> pack_ranks(std::string_view name, std::string_view published) {
  auto tokens = read_published(published);
  if (!tokens) return std::unexpected(tokens.error());
  Numbers numbers;
  for (std::uint32_t i = 0; i < tokens->size(); ++i) {
    if (!(*tokens)[i].empty() && !numbers.emplace((*tokens)[i], i).second) {
      return fail(Errc::invalid_argument, fmt::format("token {} stands twice", i));
    }
  }
  for (unsigned byte = 0; byte < 256; ++byte) {
    char one = static_cast<char>(byte);
    auto found = numbers.find({&one, 1});
    if (found == numbers.end() || found->second > 255) {
      return fail(Errc::invalid_argument, fmt::format("byte {} is not among the first 256 tokens", byte));
    }
  }
  Ranks::Header header{};
  std::memcpy(header.magic, Ranks::kMagic, sizeof header.magic);
  if (name.size() >= sizeof header.name) return fail(Errc::invalid_argument, "the name is too long");
  name.copy(header.name, sizeof header.name);
  header.version = Ranks::kVersion;
  header.tokens = static_cast<std::uint32_t>(tokens->size());
  header.slots = std::bit_ceil(header.tokens * 2);
  unsigned shift = 64 - static_cast<unsigned>(std::countr_zero(header.slots));
  std::vector<Ranks::Slot> slots(header.slots);
  std::vector<Ranks::Halves> halves(header.tokens, Ranks::Halves{Ranks::kNone, Ranks::kNone});
  std::vector<std::uint32_t> offsets{0};
  std::vector<std::uint8_t> starts(header.slots);
  std::vector<std::uint8_t> prefixes;
  std::string pool;
  for (std::uint32_t i = 0; i < header.tokens; ++i) {
    const std::string& bytes = (*tokens)[i];
    pool += bytes;
    offsets.push_back(static_cast<std::uint32_t>(pool.size()));
    prefixes.push_back(prefix_of(bytes, numbers));
    if (bytes.empty()) continue;
    std::uint64_t key =
        bytes.size() > 8 ? Ranks::long_key(bytes.data(), bytes.size()) : Ranks::short_key(bytes.data(), bytes.size());
    std::size_t at = Ranks::place(key, bytes.size(), shift);
    while (slots[at].size != 0) at = (at + 1) % slots.size();
    slots[at] = {key, i, static_cast<std::uint32_t>(bytes.size())};
    if (bytes.size() < 2) continue;
    auto found = halves_of(bytes, i, numbers);
    if (!found) return fail(Errc::invalid_argument, fmt::format("token {} is not merged from two earlier ones", i));
    halves[i] = {found->first, found->second};
    for (std::size_t start = 4; start <= std::min<std::size_t>(bytes.size(), 64); start *= 2) {
      std::uint8_t& most = starts[Ranks::start_at(bytes.data(), start, shift)];
      most = std::max(most, static_cast<std::uint8_t>(bytes.size()));
    }
  }
  header.pool = static_cast<std::uint32_t>(pool.size());
  std::string body;
  append(body, slots);
  append(body, halves);
  append(body, offsets);
  append(body, starts);
  append(body, prefixes);
  body += pool;
  header.checksum = Ranks::checksum(body);
  return std::string(reinterpret_cast<const char*>(&header), sizeof header) + body;
}

}  // namespace penstock::token
