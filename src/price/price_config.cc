#include "price/price_config.h"

#include "price/quantity.h"

namespace penstock::price {
namespace {

constexpr std::int64_t kTokensMax = 1'000'000'000;

using Parser = Result<std::int64_t> (*)(std::string_view);

// Absent when the key is, or when its value is a mistake.
Figure read_figure(config::Map& map, std::string_view key, Parser parse) {
  config::Node node = map.get(key);
  if (!node.present()) return std::nullopt;
  auto figure = parse(node.text());
  if (figure) return *figure;
  node.problem(figure.error().detail);
  return std::nullopt;
}

Figure read_tokens(config::Map& map, std::string_view key) {
  if (!map.has(key)) return std::nullopt;
  std::int64_t tokens = map.integer(key, 0, 1, kTokensMax);
  return tokens > 0 ? Figure(tokens) : std::nullopt;
}

Rates read_rates(config::Map& map) {
  Rates rates;
  for (const RateField& field : kRateFields) rates.*field.member = read_figure(map, field.name, parse_rate);
  return rates;
}

LongContext read_tier(const config::Node& node) {
  LongContext tier;
  config::Map map = node.map();
  map.required("above");
  tier.above = read_tokens(map, "above").value_or(0);
  tier.rates = read_rates(map);
  if (tier.rates == Rates{}) node.problem("a long context has prices of its own; name at least one, like input");
  map.done();
  return tier;
}

std::vector<LongContext> read_tiers(const config::Node& node) {
  std::vector<LongContext> tiers;
  if (node.kind() != config::Node::Kind::list) {
    if (node.present()) tiers.push_back(read_tier(node));
    return tiers;
  }
  for (const config::Node& item : node.items()) {
    LongContext tier = read_tier(item);
    if (!tiers.empty() && tier.above <= tiers.back().above) item.problem("`above` must rise from tier to tier");
    tiers.push_back(std::move(tier));
  }
  return tiers;
}

// Slips that make a price too low, or no price at all.
void check(config::Map& map, const Price& price) {
  const Rates& rates = price.rates;
  bool input = map.has("input");
  bool output = map.has("output");
  if (input != output) {
    map.node().problem(fmt::format("`{}` is missing beside `{}`; write 0USD/1M when it costs nothing",
                                   input ? "output" : "input", input ? "input" : "output"));
  } else if (!input && !map.has("request") && !map.has("image")) {
    map.node().problem("a price names input and output, like { input: 2.50USD/1M, output: 10USD/1M }");
  }
  if (rates.input && rates.cached && *rates.cached > *rates.input) {
    map.get("cached").problem("reading from the cache costs more than the input; are the two swapped?");
  }
}

}  // namespace

Price parse_price(config::Map& map) {
  Price price;
  price.rates = read_rates(map);
  price.long_context = read_tiers(map.get("long_context"));
  price.request = read_figure(map, "request", parse_amount);
  price.image = read_figure(map, "image", parse_amount);
  price.batch = read_figure(map, "batch", parse_share);
  price.flex = read_figure(map, "flex", parse_share);
  price.priority = read_figure(map, "priority", parse_share);
  price.fast = read_figure(map, "fast", parse_share);
  price.context = read_tokens(map, "context");
  price.output_max = read_tokens(map, "output_max");
  if (read_figure(map, "as_of", parse_day)) price.as_of = map.text("as_of");
  price.from = read_figure(map, "from", parse_day).value_or(0);
  check(map, price);
  return price;
}

Price parse_price(const config::Node& node) {
  config::Map map = node.map();
  Price price = parse_price(map);
  map.done();
  return price;
}

std::vector<Price> parse_prices(const config::Node& node) {
  std::vector<Price> prices;
  if (node.kind() == config::Node::Kind::scalar) {
    if (node.text() != "unknown")
      node.problem("write a price, like { input: 2.50USD/1M, output: 10USD/1M }, or unknown");
    return prices;
  }
  if (node.kind() != config::Node::Kind::list) return {parse_price(node)};
  for (const config::Node& item : node.items()) {
    Price price = parse_price(item);
    if (!prices.empty() && price.from <= prices.back().from) item.problem("`from` must rise from price to price");
    prices.push_back(std::move(price));
  }
  return prices;
}

}  // namespace penstock::price
