#include "obs/event.h"

#include <arpa/inet.h>

#include <mutex>
#include <set>
#include <string>

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

Label intern(std::string_view text) {
  static std::mutex mutex;
  static std::set<std::string, std::less<>> texts;  // node-based: views stay valid
  std::lock_guard lock(mutex);
  auto found = texts.find(text);
  if (found == texts.end()) found = texts.emplace(text).first;
  return {found->data(), static_cast<std::uint32_t>(found->size())};
}

}  // namespace penstock::obs
