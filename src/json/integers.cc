#include "json/integers.h"

#include "json/scan.h"

namespace penstock::json {
namespace {

// Which of the wanted integers a place in the document can still lead to: one bit each.
using Set = std::uint64_t;

bool is_last(const IntegerAt& wanted, std::size_t level) {
  return level + 1 == kPathNamesMax || wanted.path[level + 1].empty();
}

std::optional<std::int64_t> integer_of(const Number& number, const char* at) {
  std::int64_t whole = 0;
  if (number.whole) {
    return std::from_chars(at, number.end, whole).ec == std::errc{} ? std::optional(whole) : std::nullopt;
  }
  double real = 0;
  if (!to_double(number, at, real) || real != std::trunc(real) || std::abs(real) >= 0x1p63) return std::nullopt;
  return static_cast<std::int64_t>(real);
}

class Reader {
 public:
  Reader(std::string_view text, std::span<IntegerAt> wanted)
      : text_(text), wanted_(wanted), in_(text, Scanner::Numbers::any) {}

  Result<void> run() {
    Set all = wanted_.size() >= 64 ? ~Set{0} : (Set{1} << wanted_.size()) - 1;
    bool read = in_.next() == '{' ? object(all, 0) : in_.skip();
    if (!read || !in_.finish()) return in_.error();
    return {};
  }

 private:
  template <class Visit>
  void each(Set set, Visit visit) {
    for (; set != 0; set &= set - 1) visit(wanted_[static_cast<std::size_t>(std::countr_zero(set))]);
  }

  bool object(Set set, std::size_t level) {
    std::uint64_t sizes = 0;
    each(set, [&](IntegerAt& wanted) {
      wanted.parent = is_last(wanted, level);
      sizes |= size_bit(wanted.path[level]);
    });
    return in_.members([&](const Scanner::String& key) {
      if (key.escaped) [[unlikely]] {
        std::string own;
        unescape(key.raw, own);
        return member(own, set, level);
      }
      return (sizes & size_bit(key.raw)) == 0 ? in_.skip() : member(key.raw, set, level);
    });
  }

  bool member(std::string_view key, Set set, std::size_t level) {
    Set here = 0;
    for (Set rest = set; rest != 0; rest &= rest - 1) {
      if (wanted_[static_cast<std::size_t>(std::countr_zero(rest))].path[level] == key) here |= rest & -rest;
    }
    if (here == 0) return in_.skip();
    // A second member of this name replaces the first with all that was in it.
    Set deeper = 0;
    for (Set rest = here; rest != 0; rest &= rest - 1) {
      IntegerAt& wanted = wanted_[static_cast<std::size_t>(std::countr_zero(rest))];
      wanted.value.reset();
      if (is_last(wanted, level)) continue;
      wanted.parent = false;
      deeper |= rest & -rest;
    }
    char next = in_.next();
    if (next == '{' && deeper != 0) return object(deeper, level + 1);
    if (next != '-' && !is_digit(next)) return in_.skip();
    const char* at = text_.data() + in_.offset();
    Number number;
    if (!in_.number(number)) return false;
    each(here & ~deeper, [&](IntegerAt& wanted) { wanted.value = integer_of(number, at); });
    return true;
  }

  std::string_view text_;
  std::span<IntegerAt> wanted_;
  Scanner in_;
};

// The first place in [at, end) where `name` stands between quotes, or `end`: a quote here and one behind the name.
const char* find_quoted(const char* at, const char* end, std::string_view name) {
  const std::size_t apart = name.size() + 1;
  auto left = [&] { return static_cast<std::size_t>(end - at); };
#if defined(__SSE2__)
  const __m128i quote = _mm_set1_epi8('"');
  auto quotes = [&](const char* from) {
    return _mm_cmpeq_epi8(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)), quote);
  };
  for (; left() >= apart + 16; at += 16) {
    auto both = static_cast<unsigned>(_mm_movemask_epi8(_mm_and_si128(quotes(at), quotes(at + apart))));
    for (; both != 0; both &= both - 1) {
      const char* found = at + std::countr_zero(both);
      if (std::memcmp(found + 1, name.data(), name.size()) == 0) return found;
    }
  }
#endif
  for (; left() > apart; ++at) {
    if (*at == '"' && at[apart] == '"' && std::memcmp(at + 1, name.data(), name.size()) == 0) return at;
  }
  return end;
}

}  // namespace

Result<void> read_integers(std::string_view text, std::span<IntegerAt> wanted) {
  for (IntegerAt& one : wanted) {
    one.parent = false;
    one.value.reset();
  }
  return Reader(text, wanted).run();
}

bool may_hold(std::string_view text, std::string_view name) {
  const char* end = text.data() + text.size();
  const char* at = find_quoted(text.data(), end, name);
  while (at != end) {
    const char* value = at + name.size() + 2;
    auto blanks = [&] {
      while (value != end && is_blank(*value)) ++value;
    };
    blanks();
    if (value != end && *value == ':') ++value;
    blanks();
    if (!std::string_view(value, static_cast<std::size_t>(end - value)).starts_with("null")) return true;
    at = find_quoted(at + 1, end, name);
  }
  return false;
}

}  // namespace penstock::json
