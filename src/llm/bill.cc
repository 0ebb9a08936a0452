#include "llm/bill.h"

namespace penstock::llm {

std::optional<std::int64_t> charge(flow::Call& call, const Target& target, const Spent& spent) {
  obs::RequestEvent& event = call.event;
  const Usage& usage = spent.usage;
  event.usage_known = event.usage_known || usage.known;
  event.usage_estimated = event.usage_estimated || spent.estimated;
  event.input_tokens += usage.input;
  event.output_tokens += usage.output;
  event.cached_tokens += usage.cached;
  event.cache_write_tokens += usage.cache_write;
  event.reasoning_tokens += usage.reasoning;
  const price::Price* price = target.price_at(event.at);
  std::optional<std::int64_t> cost;
  if (price != nullptr) cost = price::cost(*price, usage, spent.extras);
  if (cost) event.cost_micros += *cost;
  event.cost_known = event.cost_known && cost;
  return cost;
}

std::optional<std::int64_t> charge_held(flow::Call& call, const Target& target, std::int64_t input,
                                        std::optional<std::int64_t> most) {
  Spent spent{.usage = {}, .estimated = true};
  spent.usage.known = spent.usage.input_known = true;
  spent.usage.input = std::min(input, call.ask.tokens);
  spent.usage.output = call.ask.tokens - spent.usage.input;
  auto cost = charge(call, target, spent);
  if (!cost || !most || *most <= *cost) return cost;
  // Some of it may have cost more than plain tokens do.
  call.event.cost_micros += *most - *cost;
  return most;
}

bool is_absurd(const Usage& usage) {
  constexpr std::int64_t kTokensMax = 100'000'000;
  auto absurd = [](std::int64_t tokens) { return tokens < 0 || tokens > kTokensMax; };
  return absurd(usage.input) || absurd(usage.output) || absurd(usage.cached) || absurd(usage.cache_write) ||
         absurd(usage.reasoning);
}

std::string cost_line(const flow::Call& call) {
  if (!call.event.cost_known) return {};
  std::int64_t micros = call.event.cost_micros;
  return fmt::format("x-penstock-cost-usd: {}.{:06}\r\n", micros / 1'000'000, micros % 1'000'000);
}

}  // namespace penstock::llm
