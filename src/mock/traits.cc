#include "mock/traits.h"

#include <algorithm>
#include <array>
#include <optional>

namespace penstock::mock {
namespace {

constexpr std::array<std::string_view, static_cast<std::size_t>(Trait::count)> kNames = {
    "think",       "redacted",   "refusal",       "filtered",       "preface",         "empty",
    "cache",       "crlf",       "bom",           "comments",       "no-space",        "multi-line",
    "split",       "long-lines", "choices-empty", "choices-null",   "choices-absent",  "usage-on-finish",
    "usage-twice", "no-finish",  "no-done",       "calls-together", "whole-arguments", "calls-stop",
    "error-first", "slow-first", "failed",        "rate-limited"};

}  // namespace

Traits traits_of(std::string_view model) {
  constexpr std::string_view kPrefix = "mock-";
  if (!model.starts_with(kPrefix)) return {};
  Traits traits;
  std::string_view rest = model.substr(kPrefix.size());
  while (!rest.empty()) {
    std::string_view part = rest.substr(0, rest.find('+'));
    rest.remove_prefix(std::min(part.size() + 1, rest.size()));
    auto named = std::ranges::find(kNames, part);
    if (named != kNames.end()) {
      traits.add(static_cast<Trait>(named - kNames.begin()));
    } else if (auto failure = parse_failure(part)) {
      traits.failure = *failure;
    } else {
      return {};
    }
  }
  return traits;
}

std::string trait_names() { return fmt::format("{}", fmt::join(kNames, ", ")); }

}  // namespace penstock::mock
