#include "llm/context_rule.h"

namespace penstock::llm {
namespace {

// Beyond any context there is.
constexpr std::int64_t kTokensMax = 1'000'000'000;
constexpr std::int64_t kMessagesMax = 1'000'000;

Keep parse_keep(const config::Node& node) {
  Keep keep;
  if (!node.present()) return keep;
  config::Map map = node.map();
  auto messages = [&map](std::string_view key, std::size_t usual) {
    return static_cast<std::size_t>(map.integer(key, static_cast<std::int64_t>(usual), 0, kMessagesMax));
  };
  keep.first = messages("first", keep.first);
  keep.last = messages("last", keep.last);
  map.done();
  return keep;
}

}  // namespace

std::optional<ContextRule> parse_context(const config::Node& node) {
  if (!node.present()) return std::nullopt;
  config::Map map = node.map();
  ContextRule rule;
  rule.window = map.integer("window", 0, 1, kTokensMax);
  if (map.has("reserve")) rule.reserve = map.integer("reserve", 0, 0, kTokensMax);
  std::string over = map.choice("over", {"refuse", "trim", "pass"}, "refuse");
  rule.trim = over == "trim";
  config::Node keep = map.get("keep");
  rule.keep = parse_keep(keep);
  if (keep.present() && !rule.trim) keep.problem("only `over: trim` leaves something out; write that, or no `keep`");
  if (rule.window > 0 && rule.reserve.value_or(0) >= rule.window)
    map.get("reserve").problem(fmt::format("{} tokens for the answer leave nothing of a window of {} for the input",
                                           *rule.reserve, rule.window));
  map.done();
  if (over == "pass") return std::nullopt;
  return rule;
}

std::string ContextRule::describe() const {
  std::string line = window > 0 ? fmt::format("context: {} tokens", window) : "context: as the catalog knows it";
  if (reserve) line += fmt::format(", {} of them for the answer", *reserve);
  if (!trim) return line + ", refused beyond";
  line += fmt::format(", trimmed beyond, keeping the last {} messages", keep.last);
  if (keep.first > 0) line += fmt::format(" and the first {}", keep.first);
  return line;
}

}  // namespace penstock::llm
