#include "device/settings.h"

#include <charconv>

#include "base/quantity.h"

namespace penstock::device {
namespace {

std::string_view trimmed(std::string_view text) {
  while (text.starts_with(' ')) text.remove_prefix(1);
  while (text.ends_with(' ')) text.remove_suffix(1);
  return text;
}

constexpr std::uint64_t kMost = 1'000'000'000;

}  // namespace

Result<QuarantineRule> parse_rule(std::string_view text) {
  auto wrong = [&] {
    return fail(Errc::invalid_argument, fmt::format("'{}' is no rule; write `malformed > 50/min` or `samples > 1000/s`",
                                                    std::string(text.substr(0, 100))));
  };
  std::size_t more = text.find('>');
  std::size_t slash = text.find('/');
  if (more == std::string_view::npos || slash == std::string_view::npos || slash < more) return wrong();
  QuarantineRule rule;
  rule.text = std::string(trimmed(text));
  std::string_view figure = trimmed(text.substr(0, more));
  if (figure != "malformed" && figure != "samples") return wrong();
  if (figure == "samples") rule.figure = QuarantineRule::Figure::samples;
  std::string_view count = trimmed(text.substr(more + 1, slash - more - 1));
  auto [end, problem] = std::from_chars(count.data(), count.data() + count.size(), rule.most);
  if (problem != std::errc() || end != count.data() + count.size() || rule.most == 0 || rule.most > kMost)
    return wrong();
  auto rate = base::parse_rate(fmt::format("1/{}", trimmed(text.substr(slash + 1))));
  if (!rate || *rate <= 0) return wrong();
  rule.within = std::chrono::round<base::Duration>(std::chrono::duration<double>(1 / *rate));
  return rule;
}

Settings parse_settings(const config::Node& node) {
  Settings settings;
  if (!node.present()) return settings;
  config::Map map = node.map();
  std::string unknown = map.choice("unknown", {"accept", "quarantine", "refuse"}, "accept");
  settings.unknown = unknown == "accept"       ? Unknown::accept
                     : unknown == "quarantine" ? Unknown::quarantine
                                               : Unknown::refuse;
  config::Node rules = map.get("quarantine_if");
  std::vector<config::Node> items{rules};
  if (rules.kind() == config::Node::Kind::list) items = rules.items();
  for (const config::Node& item : items) {
    if (!item.present()) continue;
    auto rule = parse_rule(item.text());
    if (rule) {
      settings.quarantine_if.push_back(std::move(*rule));
    } else {
      item.problem(rule.error().detail);
    }
  }
  settings.silent_after = map.duration("silent_after", settings.silent_after);
  if (settings.silent_after < std::chrono::seconds(1)) map.get("silent_after").problem("at least 1s");
  settings.certificate_days = static_cast<int>(map.integer("certificate_days", settings.certificate_days, 1, 3650));
  map.done();
  return settings;
}

}  // namespace penstock::device
