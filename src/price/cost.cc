#include "price/cost.h"

#include <algorithm>
#include <limits>
#include <span>

namespace penstock::price {
namespace {

// Counts up to 2^63, rates up to 2^40 and percentages up to 2^10 have products and sums far below 2^127.
using Wide = __int128;
constexpr Wide kTokensPerRate = 1'000'000;
constexpr Wide kPercent = 100;
constexpr std::int64_t kDearest = std::numeric_limits<std::int64_t>::max();

Figure either(const Figure& first, const Figure& second) { return first ? first : second; }

// Two figures of which the dearer holds; one alone is better than none.
Figure dearer(const Figure& a, const Figure& b) { return a && b ? std::max(*a, *b) : either(a, b); }

void overlay(Rates& below, const Rates& above) {
  for (const RateField& field : kRateFields) below.*field.member = either(above.*field.member, below.*field.member);
}

// The rates of calls with that much input; `merged` is room for those of a tier.
const Rates& rates_for(const Price& price, std::int64_t input, Rates& merged) {
  if (price.long_context.empty() || input <= price.long_context.front().above) return price.rates;
  merged = price.rates;
  for (const LongContext& tier : price.long_context) {
    if (input > tier.above) overlay(merged, tier.rates);
  }
  return merged;
}

struct Kind {
  std::int64_t tokens = 0;
  Figure rate;
};

// `total` tokens, of which `kinds` are priced apart and the rest at `plain`. Nothing when a rate is missing: what has
// none counts as the dearest, so that it never hides behind the others.
std::optional<Wide> priced(std::int64_t total, std::span<Kind> kinds, const Figure& plain) {
  std::sort(kinds.begin(), kinds.end(),
            [](const Kind& a, const Kind& b) { return a.rate.value_or(kDearest) > b.rate.value_or(kDearest); });
  Wide sum = 0;
  std::int64_t left = std::max<std::int64_t>(total, 0);
  for (const Kind& kind : kinds) {
    std::int64_t tokens = std::clamp<std::int64_t>(kind.tokens, 0, left);
    if (tokens == 0) continue;
    if (!kind.rate) return std::nullopt;
    sum += Wide(tokens) * *kind.rate;
    left -= tokens;
  }
  if (left == 0) return sum;
  if (!plain) return std::nullopt;
  return sum + Wide(left) * *plain;
}

std::optional<Wide> token_cost(const Price& price, const chat::Usage& usage) {
  if (!usage.known || !usage.input_known) return std::nullopt;
  Rates merged;
  const Rates& rates = rates_for(price, usage.input, merged);
  Figure input = dearer(rates.input, rates.image_input);
  Figure output = dearer(rates.output, rates.image_output);
  std::int64_t hour = std::clamp<std::int64_t>(usage.cache_write_hour, 0, std::max<std::int64_t>(usage.cache_write, 0));
  std::array<Kind, 4> ins{{{usage.cached, either(rates.cached, input)},
                           {usage.cache_write - hour, rates.cache_write},
                           {hour, rates.cache_write_hour},
                           {usage.audio_input, rates.audio_input}}};
  std::array<Kind, 2> outs{
      {{usage.reasoning, either(rates.reasoning, output)}, {usage.audio_output, rates.audio_output}}};
  auto in = priced(usage.input, ins, input);
  auto out = priced(usage.output, outs, output);
  if (!in || !out) return std::nullopt;
  return *in + *out;
}

// Nothing for a service whose price is needed and unknown.
Figure percent_of(const Price& price, Service service) {
  switch (service) {
    case Service::batch: return price.batch.value_or(100);
    case Service::flex: return price.flex.value_or(100);
    case Service::priority: return price.priority;
    case Service::fast: return price.fast;
    case Service::standard: break;
  }
  return 100;
}

// `tokens` is the sum of count times rate. Nothing of a price without any figure: it is not free but unknown.
std::optional<std::int64_t> total(const Price& price, Wide tokens, const Extras& extras) {
  if (!price.by_token() && !price.request && !price.image) return std::nullopt;
  Wide whole = tokens + Wide(price.request.value_or(0)) * kTokensPerRate +
               Wide(std::max<std::int64_t>(extras.images, 0)) * price.image.value_or(0) * kTokensPerRate;
  if (whole == 0) return 0;
  Figure percent = percent_of(price, extras.service);
  if (!percent) return std::nullopt;
  constexpr Wide kUnit = kTokensPerRate * kPercent;
  Wide micros = (whole * *percent + kUnit - 1) / kUnit;
  return static_cast<std::int64_t>(std::min<Wide>(micros, std::numeric_limits<std::int64_t>::max()));
}

// Micro-dollars times kTokensPerRate of the whole ask at these rates.
std::optional<Wide> worst(const Rates& rates, const Ask& ask) {
  Figure input = dearer(rates.input, rates.image_input);
  if (input && rates.cached) input = dearer(input, rates.cached);
  if (input && ask.cache_write) input = dearer(dearer(input, rates.cache_write), rates.cache_write_hour);
  if (input && ask.audio_input) input = dearer(input, rates.audio_input);
  Figure output = dearer(dearer(rates.output, rates.image_output), rates.reasoning);
  if (output && ask.audio_output) output = dearer(output, rates.audio_output);
  std::int64_t in = std::max<std::int64_t>(ask.input, 0);
  std::int64_t out = std::max<std::int64_t>(ask.output, 0);
  if ((in > 0 && !input) || (out > 0 && !output)) return std::nullopt;
  return Wide(in) * input.value_or(0) + Wide(out) * output.value_or(0);
}

}  // namespace

std::optional<Service> service_of(std::string_view word) {
  struct Named {
    std::string_view word;
    Service service;
  };
  // OpenAI: auto, default, flex, priority; Anthropic: auto, standard, standard_only, priority, batch; Groq: on_demand.
  // `auto` may become another one, which the answer names.
  static constexpr std::array<Named, 10> kWords{{{"", Service::standard},
                                                 {"auto", Service::standard},
                                                 {"default", Service::standard},
                                                 {"standard", Service::standard},
                                                 {"standard_only", Service::standard},
                                                 {"on_demand", Service::standard},
                                                 {"flex", Service::flex},
                                                 {"batch", Service::batch},
                                                 {"priority", Service::priority},
                                                 {"fast", Service::fast}}};
  for (const Named& named : kWords) {
    if (named.word == word) return named.service;
  }
  return std::nullopt;
}

std::optional<std::int64_t> cost(const Price& price, const chat::Usage& usage, const Extras& extras) {
  if (!price.by_token()) return total(price, 0, extras);
  auto tokens = token_cost(price, usage);
  return tokens ? total(price, *tokens, extras) : std::nullopt;
}

std::optional<std::int64_t> reserve_cost(const Price& price, const Ask& ask) {
  if (!price.by_token()) return total(price, 0, ask.extras);
  // A call may turn out shorter than counted, and a tier need not be dearer in everything.
  Rates rates = price.rates;
  auto most = worst(rates, ask);
  for (const LongContext& tier : price.long_context) {
    if (ask.input <= tier.above) break;
    overlay(rates, tier.rates);
    auto here = worst(rates, ask);
    if (!here || !most) return std::nullopt;
    most = std::max(*most, *here);
  }
  return most ? total(price, *most, ask.extras) : std::nullopt;
}

}  // namespace penstock::price
