#include "wire/field_id.h"

#include <array>
#include <cstring>

namespace penstock::wire {
namespace {

constexpr std::array<std::string_view, kFieldIds> kNames{
    "",
    "accept",
    "accept-encoding",
    "anthropic-beta",
    "anthropic-version",
    "api-key",
    "authorization",
    "cache-control",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "cookie",
    "date",
    "expect",
    "forwarded",
    "host",
    "idempotency-key",
    "inference-header-content-length",
    "keep-alive",
    "last-event-id",
    "location",
    "openai-organization",
    "openai-project",
    "origin",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "retry-after",
    "sec-websocket-key",
    "sec-websocket-version",
    "server",
    "set-cookie",
    "te",
    "traceparent",
    "tracestate",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "vary",
    "via",
    "www-authenticate",
    "x-api-key",
    "x-forwarded-for",
    "x-goog-api-key",
    "x-request-id",
};

constexpr std::size_t kSlots = 256;

// Length, first and last letter tell the names apart; the factors that spread them best are found by the compiler.
struct Spread {
  unsigned first = 0;
  unsigned last = 0;
  constexpr std::size_t slot(std::string_view name) const {
    auto letter = [](char c) { return static_cast<unsigned>(static_cast<unsigned char>(c)) | 0x20U; };
    return (name.size() + letter(name.front()) * first + letter(name.back()) * last) % kSlots;
  }
  constexpr bool collides() const {
    std::array<bool, kSlots> taken{};
    for (std::size_t id = 1; id < kFieldIds; ++id) {
      std::size_t at = slot(kNames[id]);
      if (taken[at]) return true;
      taken[at] = true;
    }
    return false;
  }
};

consteval Spread find_spread() {
  for (unsigned first = 1; first < 64; ++first) {
    for (unsigned last = 1; last < 64; ++last) {
      Spread spread{first, last};
      if (!spread.collides()) return spread;
    }
  }
  return {};
}

constexpr Spread kSpread = find_spread();
static_assert(kSpread.first != 0, "two names have the same length, first and last letter");

consteval std::array<FieldId, kSlots> fill_slots() {
  std::array<FieldId, kSlots> slots{};
  for (std::size_t id = 1; id < kFieldIds; ++id) slots[kSpread.slot(kNames[id])] = static_cast<FieldId>(id);
  return slots;
}

constexpr std::array<FieldId, kSlots> kIds = fill_slots();

template <class Word>
bool differ(const char* a, const char* known) {
  Word x{};
  Word y{};
  std::memcpy(&x, a, sizeof x);
  std::memcpy(&y, known, sizeof y);
  // Known names are small letters and hyphens; of the two only letters have the bit 0x40, and the bit below it is what
  // makes them small.
  auto letters = static_cast<Word>(y & static_cast<Word>(0x4040404040404040ULL));
  return static_cast<Word>(x | static_cast<Word>(letters >> 1U)) != y;
}

// `name` and `known` have the same length, and words at both ends overlap.
bool same_name(std::string_view name, std::string_view known) {
  const char* a = name.data();
  const char* b = known.data();
  std::size_t size = name.size();
  if (size >= 8) {
    for (std::size_t at = 0; at + 8 < size; at += 8) {
      if (differ<std::uint64_t>(a + at, b + at)) return false;
    }
    return !differ<std::uint64_t>(a + size - 8, b + size - 8);
  }
  if (size >= 4) return !differ<std::uint32_t>(a, b) && !differ<std::uint32_t>(a + size - 4, b + size - 4);
  return !differ<std::uint16_t>(a, b) && !differ<std::uint16_t>(a + size - 2, b + size - 2);
}

}  // namespace

FieldId field_id(std::string_view name) {
  if (name.size() < 2) return FieldId::other;
  FieldId id = kIds[kSpread.slot(name)];
  std::string_view known = kNames[static_cast<std::size_t>(id)];
  return known.size() == name.size() && same_name(name, known) ? id : FieldId::other;
}

std::string_view field_name(FieldId id) { return kNames[static_cast<std::size_t>(id)]; }

}  // namespace penstock::wire
