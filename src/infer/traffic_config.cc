#include "infer/traffic_config.h"

#include <charconv>
#include <cmath>

#include "base/quantity.h"

namespace penstock::infer {
namespace {

// Shares written with a few digits add up to 100 % about.
constexpr double kSumSlack = 1e-6;
constexpr std::size_t kLabelsMax = 64;
constexpr std::size_t kLabelBytesMax = 64;

std::string_view trimmed(std::string_view text) {
  std::size_t from = text.find_first_not_of(" \t\n");
  if (from == std::string_view::npos) return {};
  return text.substr(from, text.find_last_not_of(" \t\n") - from + 1);
}

std::unexpected<Error> wrong(std::string message) { return fail(Errc::invalid_argument, std::move(message)); }

// 3 and "3", but not "03" or "3a".
Result<std::int64_t> read_version(std::string_view text) {
  std::int64_t number = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size() || number < 1 || text.front() == '0')
    return wrong(fmt::format("'{}' is no version: they are numbers from 1 on", text));
  return number;
}

Result<void> check_label(std::string_view name) {
  bool letters = !name.empty() && name.size() <= kLabelBytesMax &&
                 std::all_of(name.begin(), name.end(),
                             [](unsigned char c) { return std::isalnum(c) != 0 || c == '-' || c == '_' || c == '.'; });
  if (letters && std::isdigit(static_cast<unsigned char>(name.front())) == 0) return {};
  return wrong(
      fmt::format("'{}' cannot be a label: use letters, digits, '-', '_' and '.', at most {}, and no digit "
                  "first, so that it is no version number",
                  name, kLabelBytesMax));
}

Result<void> check_split(const std::map<std::int64_t, double>& split) {
  if (split.size() > kSplitMax) return wrong(fmt::format("a split has at most {} versions", kSplitMax));
  double sum = 0;
  for (const auto& [version, share] : split) sum += share;
  if (std::abs(sum - 1) <= kSumSlack) return {};
  return wrong(fmt::format("the shares add up to {}; make them add up to 100 %", format_share(sum)));
}

// The share of calls that "errors", "disagreement" or "p99" is about; the bound is of the latter.
Result<CanaryRule> parse_rule(std::string_view text) {
  CanaryRule rule;
  rule.text = std::string(text);
  std::size_t sign = text.find('>');
  if (sign == std::string_view::npos) {
    return wrong(
        fmt::format("'{}' has no '>'; write errors > 0.5%, p99 > 20ms or disagreement > 2%, joined by 'or'", text));
  }
  std::string_view what = trimmed(text.substr(0, sign));
  std::string_view limit = trimmed(text.substr(sign + 1));
  if (what == "errors" || what == "disagreement") {
    rule.kind = what == "errors" ? CanaryRule::Kind::errors : CanaryRule::Kind::disagreement;
    auto share = base::parse_percent(limit);
    if (!share) return wrong(fmt::format("'{}': {}", text, share.error().detail));
    if (*share <= 0 || *share >= 1) {
      return wrong(
          fmt::format("'{}': the limit must lie between 0 % and 100 %: no number of calls proves that a "
                      "version never fails",
                      text));
    }
    rule.share = *share;
    return rule;
  }
  double percentile = 0;
  if (what.starts_with('p')) {
    auto [end, error] = std::from_chars(what.data() + 1, what.data() + what.size(), percentile);
    if (error != std::errc{} || end != what.data() + what.size()) percentile = 0;
  }
  if (!(percentile >= 1 && percentile <= 99.999)) {
    return wrong(
        fmt::format("'{}': '{}' is not errors, disagreement or a percentile of the latency from p1 to "
                    "p99.999",
                    text, what));
  }
  auto bound = base::parse_duration(limit);
  if (!bound) return wrong(fmt::format("'{}': {}", text, bound.error().detail));
  if (*bound <= base::Duration::zero()) return wrong(fmt::format("'{}': every call takes longer than that", text));
  rule.kind = CanaryRule::Kind::latency;
  rule.share = (100 - percentile) / 100;
  rule.bound = *bound;
  return rule;
}

std::int64_t version_of(config::Map& map) {
  config::Node node = map.required("version");
  return node.present() ? node.integer(1, 1, INT64_MAX) : 1;
}

// More than nothing: a canary or a shadow without a share is a slip.
double share_of(config::Map& map, double fallback) {
  config::Node node = map.get("share");
  if (!node.present()) return fallback;
  double share = node.percent(fallback);
  if (share <= 0) node.problem("the share must be more than 0 %");
  return share;
}

std::map<std::string, std::string> texts_of(const config::Node& node) {
  std::map<std::string, std::string> texts;
  config::Map map = node.map();
  for (const auto& [name, value] : map.entries()) texts[name] = value.text();
  return texts;
}

// `read` of the map at `node`; its error is reported there.
template <class T>
T checked(const config::Node& node, Result<T> (*read)(const std::map<std::string, std::string>&)) {
  if (!node.present()) return {};
  auto value = read(texts_of(node));
  if (value) return std::move(*value);
  node.problem(value.error().detail);
  return {};
}

void parse_sticky(const config::Node& node, TrafficConfig& traffic) {
  if (!node.present()) return;
  if (node.kind() != config::Node::Kind::map) {
    if (node.choice({"key"}, "key") == "key") traffic.sticky = TrafficConfig::Sticky::key;
    return;
  }
  config::Map map = node.map();
  bool header = map.has("header");
  bool parameter = map.has("parameter");
  if (header == parameter) {
    node.problem("write `sticky: key`, or one of { header: NAME } and { parameter: NAME }");
  } else {
    traffic.sticky = header ? TrafficConfig::Sticky::header : TrafficConfig::Sticky::parameter;
    traffic.sticky_name = map.required_text(header ? "header" : "parameter");
    if (traffic.sticky_name.empty()) node.problem("the name is empty");
  }
  map.done();
}

std::optional<CanaryConfig> parse_canary(const config::Node& node) {
  if (!node.present()) return std::nullopt;
  config::Map map = node.map();
  CanaryConfig canary;
  canary.version = version_of(map);
  canary.share = share_of(map, canary.share);
  canary.promote_after = map.duration("promote_after", canary.promote_after);
  config::Node rate = map.get("error_rate");
  if (rate.present()) {
    canary.error_rate = rate.percent(canary.error_rate);
    if (canary.error_rate < 1e-9 || canary.error_rate > 0.5) {
      rate.problem("the accepted rate of wrong decisions must lie between 0.0000001 % and 50 %");
      canary.error_rate = 0.01;
    }
  }
  config::Node rollback = map.get("rollback_if");
  if (rollback.present()) {
    auto rules = parse_rules(rollback.text());
    if (rules) canary.rules = std::move(*rules);
    if (!rules) rollback.problem(rules.error().detail);
  } else if (canary.promote_after > base::Duration::zero()) {
    node.problem("`promote_after` needs `rollback_if`: without a limit nothing shows that the version is good");
  }
  map.done();
  return canary;
}

std::optional<ShadowConfig> parse_shadow(const config::Node& node) {
  if (!node.present()) return std::nullopt;
  config::Map map = node.map();
  ShadowConfig shadow;
  shadow.version = version_of(map);
  shadow.share = share_of(map, shadow.share);
  map.done();
  return shadow;
}

CompareConfig parse_compare(const config::Node& node) {
  CompareConfig compare;
  if (!node.present()) return compare;
  config::Map map = node.map();
  std::string as = map.choice("as", {"auto", "classes", "numbers"}, "auto");
  if (as == "classes") compare.as = CompareConfig::As::classes;
  if (as == "numbers") compare.as = CompareConfig::As::numbers;
  compare.tolerance = map.percent("tolerance", compare.tolerance);
  map.done();
  return compare;
}

}  // namespace

std::string format_share(double share) {
  std::string digits = fmt::format("{:.4g}", share * 100);
  return digits.find('e') == std::string::npos ? digits + " %" : fmt::format("{:.9g} %", share * 100);
}

Result<std::vector<CanaryRule>> parse_rules(std::string_view text) {
  std::vector<CanaryRule> rules;
  std::string_view rest = text;
  while (true) {
    std::size_t end = rest.find(" or ");
    auto rule = parse_rule(trimmed(rest.substr(0, end)));
    if (!rule) return std::unexpected(rule.error());
    for (const CanaryRule& before : rules) {
      bool same = before.kind == rule->kind && before.kind != CanaryRule::Kind::latency;
      if (same) return wrong(fmt::format("'{}' and '{}' are about the same; leave one", before.text, rule->text));
    }
    rules.push_back(std::move(*rule));
    if (rules.size() > kRulesMax) return wrong(fmt::format("a canary has at most {} limits", kRulesMax));
    if (end == std::string_view::npos) return rules;
    rest.remove_prefix(end + 4);
  }
}

Result<std::map<std::int64_t, double>> read_split(const std::map<std::string, std::string>& given) {
  std::map<std::int64_t, double> split;
  for (const auto& [name, text] : given) {
    auto version = read_version(name);
    if (!version) return std::unexpected(version.error());
    auto share = base::parse_percent(text);
    if (!share) return wrong(fmt::format("version {}: {}", name, share.error().detail));
    split[*version] = *share;
  }
  if (split.empty()) return split;
  if (auto fits = check_split(split); !fits) return std::unexpected(fits.error());
  return split;
}

Result<std::map<std::string, std::int64_t>> read_labels(const std::map<std::string, std::string>& given) {
  std::map<std::string, std::int64_t> labels;
  if (given.size() > kLabelsMax) return wrong(fmt::format("a model has at most {} labels", kLabelsMax));
  for (const auto& [name, text] : given) {
    if (auto fits = check_label(name); !fits) return std::unexpected(fits.error());
    auto version = read_version(text);
    if (!version) return wrong(fmt::format("label '{}': {}", name, version.error().detail));
    labels[name] = *version;
  }
  return labels;
}

TrafficConfig parse_traffic(config::Map& model) {
  TrafficConfig traffic;
  traffic.labels = checked(model.get("labels"), read_labels);
  traffic.split = checked(model.get("split"), read_split);
  parse_sticky(model.get("sticky"), traffic);
  config::Node canary = model.get("canary");
  traffic.canary = parse_canary(canary);
  traffic.shadow = parse_shadow(model.get("shadow"));
  traffic.compare = parse_compare(model.get("compare"));
  if (traffic.canary && traffic.split.contains(traffic.canary->version)) {
    canary.problem(fmt::format("version {} is in `split` too; a canary has its own `share`", traffic.canary->version));
  }
  auto stable = traffic.labels.find("stable");
  if (traffic.canary && stable != traffic.labels.end() && stable->second == traffic.canary->version)
    canary.problem(fmt::format("version {} is labelled `stable` too", traffic.canary->version));
  return traffic;
}

}  // namespace penstock::infer
