#include "obs/event.h"

#include <arpa/inet.h>

#include <cstring>
#include <mutex>
#include <string>

#include "base/text_arena.h"

namespace penstock::obs {

std::string_view to_string(ErrorType type) {
  switch (type) {
    case ErrorType::none: return "";
    case ErrorType::caller_bad_request: return "caller_bad_request";
    case ErrorType::caller_auth: return "caller_auth";
    case ErrorType::caller_forbidden: return "caller_forbidden";
    case ErrorType::caller_not_found: return "caller_not_found";
    case ErrorType::caller_too_large: return "caller_too_large";
    case ErrorType::caller_timeout: return "caller_timeout";
    case ErrorType::caller_cancelled: return "caller_cancelled";
    case ErrorType::policy_limit: return "policy_limit";
    case ErrorType::policy_budget: return "policy_budget";
    case ErrorType::policy_guardrail: return "policy_guardrail";
    case ErrorType::provider_connect: return "provider_connect";
    case ErrorType::provider_timeout: return "provider_timeout";
    case ErrorType::provider_4xx: return "provider_4xx";
    case ErrorType::provider_429: return "provider_429";
    case ErrorType::provider_5xx: return "provider_5xx";
    case ErrorType::provider_malformed: return "provider_malformed";
    case ErrorType::provider_cut: return "provider_cut";
    case ErrorType::penstock_overload: return "penstock_overload";
    case ErrorType::penstock_internal: return "penstock_internal";
    case ErrorType::other: return "_OTHER";
  }
  return "_OTHER";
}

std::string ClientAddress::text() const {
  constexpr std::array<std::uint8_t, 12> kMapped{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  if (local) return "unix";
  if (bytes == std::array<std::uint8_t, 16>{}) return {};
  std::array<char, INET6_ADDRSTRLEN> buffer{};
  bool v4 = std::equal(kMapped.begin(), kMapped.end(), bytes.begin());
  inet_ntop(v4 ? AF_INET : AF_INET6, v4 ? &bytes[12] : bytes.data(), buffer.data(), buffer.size());
  return buffer.data();
}

namespace {

// Open addressing over texts in an arena, each behind its length: a name takes its own bytes, 4, and 15 at most of the
// table.
class Interner {
 public:
  Label intern(std::string_view text) {
    std::lock_guard lock(mutex_);
    if (5 * (count_ + 1) > 4 * slots_.size()) grow();
    const char*& slot = slot_of(text);
    if (slot == nullptr) {
      slot = keep(text);
      ++count_;
    }
    return label_of(slot);
  }

 private:
  static Label label_of(const char* kept) {
    std::uint32_t size = 0;
    std::memcpy(&size, kept, sizeof size);
    return {kept + sizeof size, size};
  }
  const char* keep(std::string_view text) {
    auto size = static_cast<std::uint32_t>(text.size());
    buffer_.assign(reinterpret_cast<const char*>(&size), sizeof size).append(text);
    return arena_.keep(buffer_).data();
  }
  const char*& slot_of(std::string_view text) {
    std::size_t at = std::hash<std::string_view>()(text) % slots_.size();
    while (slots_[at] != nullptr && label_of(slots_[at]).view() != text) at = (at + 1) % slots_.size();
    return slots_[at];
  }
  void grow() {
    std::vector<const char*> old(std::max<std::size_t>(1024, slots_.size() + slots_.size() / 2));
    old.swap(slots_);
    for (const char* kept : old) {
      if (kept != nullptr) slot_of(label_of(kept).view()) = kept;
    }
  }

  std::mutex mutex_;
  base::TextArena arena_;
  std::string buffer_;
  std::vector<const char*> slots_;
  std::size_t count_ = 0;
};

}  // namespace

Label intern(std::string_view text) {
  static Interner& interner = *new Interner;  // labels outlive whatever is destroyed at the end
  return interner.intern(text);
}

}  // namespace penstock::obs
