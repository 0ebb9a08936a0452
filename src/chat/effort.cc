#include "chat/effort.h"

#include <algorithm>

namespace penstock::chat {
namespace {

struct Rate {
  std::string_view effort;
  std::int64_t tokens;
};

constexpr Rate kRates[] = {{"none", 0},     {"minimal", 1024}, {"low", 2048}, {"medium", 8192},
                           {"high", 16384}, {"xhigh", 32768},  {"max", 32768}};

}  // namespace

std::int64_t tokens_of_effort(std::string_view effort) {
  for (const Rate& rate : kRates) {
    if (rate.effort == effort) return rate.tokens;
  }
  return tokens_of_effort("medium");
}

std::string_view effort_of_tokens(std::int64_t tokens) {
  for (const Rate& rate : kRates) {
    if (tokens <= rate.tokens || rate.effort == "high") return rate.effort;
  }
  return "high";
}

std::int64_t tokens_of(const Reasoning& reasoning) {
  if (is_off(reasoning)) return 0;
  if (!reasoning.budget_tokens) return tokens_of_effort(reasoning.effort);
  return std::min(*reasoning.budget_tokens, kThinkingTokensMax);
}

std::string_view effort_of(const Reasoning& reasoning) {
  if (is_off(reasoning)) return "none";
  if (!reasoning.effort.empty()) return reasoning.effort;
  return reasoning.budget_tokens ? effort_of_tokens(*reasoning.budget_tokens) : "medium";
}

bool is_off(const Reasoning& reasoning) {
  return reasoning.on == false || reasoning.effort == "none" || reasoning.budget_tokens == 0;
}

}  // namespace penstock::chat
