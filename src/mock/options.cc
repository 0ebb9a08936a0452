#include "mock/options.h"

#include <charconv>

#include "base/quantity.h"
#include "mock/dialect.h"

namespace penstock::mock {
namespace {

struct NamedFailure {
  std::string_view name;
  Failure::Kind kind;
};
constexpr std::array kNamed = {
    NamedFailure{"cut", Failure::Kind::cut},
    NamedFailure{"hang", Failure::Kind::hang},
    NamedFailure{"stall", Failure::Kind::stall},
    NamedFailure{"reset", Failure::Kind::reset},
    NamedFailure{"error-in-stream", Failure::Kind::error_in_stream},
    NamedFailure{"bad-json", Failure::Kind::bad_json},
    NamedFailure{"no-usage", Failure::Kind::no_usage},
};
constexpr int kTokensMax = 100'000;

}  // namespace

Result<Failure> parse_failure(std::string_view text) {
  for (const NamedFailure& named : kNamed) {
    if (named.name == text) return Failure{named.kind, 0};
  }
  int status = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), status);
  if (error == std::errc() && end == text.data() + text.size() && status >= 400 && status <= 599) {
    return Failure{Failure::Kind::status, status};
  }
  return fail(Errc::invalid_argument,
              fmt::format("'{}' is no failure; a status from 400 to 599, {}", text, failure_names()));
}

std::string failure_names() {
  std::string names;
  for (const NamedFailure& named : kNamed) names += fmt::format("{}{}", names.empty() ? "" : ", ", named.name);
  return names;
}

Result<FailRule> parse_fail_rule(std::string_view text) {
  std::size_t colon = text.find(':');
  if (colon == std::string_view::npos) {
    return fail(Errc::invalid_argument, fmt::format("'{}': write share:failure, for example 5%:503 or 2%:cut", text));
  }
  auto share = base::parse_percent(text.substr(0, colon));
  if (!share) return std::unexpected(share.error());
  auto failure = parse_failure(text.substr(colon + 1));
  if (!failure) return std::unexpected(failure.error());
  return FailRule{*share, *failure};
}

Result<void> validate(const Options& options) {
  if (!options.dialect.empty() && dialect_named(options.dialect) == nullptr) {
    return fail(Errc::unimplemented, fmt::format("the mock provider does not speak '{}'; the dialects it speaks are {}",
                                                 options.dialect, dialect_names()));
  }
  if (options.tokens < 1 || options.tokens > kTokensMax) {
    return fail(Errc::invalid_argument, fmt::format("{} tokens: from 1 to {}", options.tokens, kTokensMax));
  }
  if (options.threads < 1 || options.threads > 256) {
    return fail(Errc::invalid_argument, fmt::format("{} threads: from 1 to 256", options.threads));
  }
  double shares = 0;
  for (const FailRule& rule : options.fail) shares += rule.share;
  if (shares > 1.0 + 1e-9) {
    return fail(Errc::invalid_argument, fmt::format("the failure shares add up to {:g}%: at most 100%", shares * 100));
  }
  return {};
}

}  // namespace penstock::mock
