#include "llm/ask.h"

#include "chat/effort.h"
#include "flow/accounts.h"
#include "flow/permission.h"
#include "llm/context_fit.h"
#include "llm/estimate.h"
#include "price/cost.h"
#include "token/chat_count.h"
#include "token/openai_chat.h"
#include "token/work_limit.h"
#include "wire/chars.h"

namespace penstock::llm {
namespace {

// Of whoever pays for the call, or is asked. What none of them needs is not worked out.
struct Stakes {
  bool counted = false;  // some limit or budget goes by tokens: the input is counted well
  bool bounded = false;  // a hard budget: the output has to have a maximum
  bool priced = false;   // a hard budget in money
};

template <class Visit>
void each_target(const Route& route, Visit visit) {
  for (const Target& target : route.targets) visit(target);
  for (const Target& target : route.fallback) visit(target);
}

// Whoever asks, and each target that may be asked: whether it has a price is looked at before it is asked.
Stakes stakes_of(const flow::Call& call, const Route& route) {
  Stakes stakes;
  auto add = [&stakes](const quota::Account& account) {
    stakes.counted = stakes.counted || account.counts_tokens();
    stakes.bounded = stakes.bounded || account.needs_bound();
  };
  flow::Accounts accounts(call);
  for (const quota::Account* account : accounts.all()) {
    add(*account);
    stakes.priced = stakes.priced || account->needs_price();
  }
  each_target(route, [&add](const Target& target) {
    for (const auto& allowance : target.allowances) {
      if (allowance && allowance->account) add(*allowance->account);
    }
  });
  return stakes;
}

void name_model(flow::Call& call, const Route& route) {
  call.event.cost_known = true;  // so far, which is nothing
  if (!route.allowance) return;
  call.model_account = route.allowance->account.get();
  call.model_limits = &route.allowance->rules.limits;
}

std::int64_t times(std::int64_t tokens, std::int64_t answers) {
  // 10^12 tokens: more than any budget, and safe to add up.
  constexpr std::int64_t kTokensMax = 1'000'000'000'000;
  return tokens > kTokensMax / answers ? kTokensMax : tokens * answers;
}

// What a provider counted before may have been blanks: no reason to hold less for words.
std::int64_t safe_estimate(const Target& target, std::int64_t tokens) {
  double learned = target.calibration->tokens_per_byte();
  if (target.encoding == nullptr && learned < token::Calibration::kStart)
    tokens = static_cast<std::int64_t>(static_cast<double>(tokens) * token::Calibration::kStart / learned) + 1;
  return tokens + tokens / 4;
}

// As the target of the route counts most. What is not exact gets a quarter more where a budget relies on it.
void count_well(flow::Call& call, const Route& route, Request& request, bool bounded, std::int64_t& asked) {
  std::int64_t most = 0;
  asked = 0;
  const token::Encoding* counted = nullptr;
  each_target(route, [&](const Target& target) {
    if (target.encoding != nullptr && target.encoding == counted && !request.context) return;
    counted = target.encoding;
    auto input = count_input(target, request);
    std::int64_t tokens = input ? input->tokens : call.input_tokens;
    most = std::max(most, tokens);
    asked = std::max(asked, bounded && !(input && input->exact) ? safe_estimate(target, tokens) : tokens);
  });
  call.input_tokens = most;
}

std::int64_t least_said(std::int64_t a, std::int64_t b) {
  if (a == 0 || b == 0) return std::max(a, b);
  return std::min(a, b);
}

// Tokens of one answer by the limits of who asks, and of the model; 0: these have none.
std::int64_t lowered_output(const flow::Call& call, const Route& route) {
  std::int64_t lowered = flow::output_max(call);
  if (route.allowance) lowered = least_said(lowered, route.allowance->rules.limits.output_max);
  return lowered;
}

// Tokens of one answer; 0: nobody knows.
std::int64_t allowed_output(const flow::Call& call, const Route& route, Request& request, bool bounded) {
  if (request.operation == Operation::embeddings) return 0;
  std::int64_t lowered = lowered_output(call, route);
  std::int64_t wish = request.output.tokens;
  std::int64_t most = least_said(lowered, wish);
  if (most == 0 || bounded) most = least_said(most, output_most_of(route, call.event.at));
  bool assumed = most == 0 && bounded;
  if (assumed) most = route.output_assumed;
  bool said = lowered > 0 || assumed || (bounded && wish > 0);
  request.output_most = said ? most : 0;
  return most;
}

// Writing to the provider's cache costs more, and the client asks for it. An escape may spell anything.
bool may_write_cache(std::string_view body) {
  return body.find("cache") != std::string_view::npos || body.find("\\u") != std::string_view::npos;
}

std::int64_t tokens_of(const token::InputSize& size, const Target& target) {
  return size.tokens + target.calibration->estimate(size.text_bytes);
}

// Of the texts alone, which is all there is to embed.
std::optional<token::InputSize> embedded_size(const Request& request, const token::Encoding* encoding) {
  if (request.embeddings == nullptr) return std::nullopt;
  auto read = request.embeddings->read_request(request.body);
  if (!read) return std::nullopt;
  token::Tally tally(encoding, {});
  for (const std::string& text : read->texts) tally.text(text);
  for (const auto& tokens : read->tokens) tally.tokens(static_cast<std::int64_t>(tokens.size()));
  return tally.size();
}

}  // namespace

std::int64_t said_output(const flow::Call& call, const Route& route, const Request& request) {
  return least_said(lowered_output(call, route), request.output.tokens);
}

std::optional<CountedInput> count_longest_text(const Target& target, const Request& request) {
  if (request.embeddings == nullptr) return std::nullopt;
  auto read = request.embeddings->read_request(request.body);
  if (!read) return std::nullopt;
  token::WorkLimit limit;
  std::int64_t most = 0;
  for (const std::string& text : read->texts) {
    token::Tally tally(target.encoding, {});
    tally.text(text);
    most = std::max(most, tokens_of(tally.size(), target));
  }
  for (const auto& tokens : read->tokens) most = std::max(most, static_cast<std::int64_t>(tokens.size()));
  return CountedInput{most, target.encoding != nullptr && !limit.exceeded()};
}

namespace {

// Counted as the client wrote it; other bodies have to be understood first.
bool is_raw(const Request& request) { return request.family == Family::openai && request.operation == Operation::chat; }

bool read_canonical(Request& request) {
  if (request.canonical) return true;
  if (request.codec == nullptr) return false;
  auto read = request.codec->read_request(request.body);
  if (read) request.canonical = std::make_shared<chat::Request>(std::move(*read));
  return read.has_value();
}

}  // namespace

std::optional<token::InputSize> measure_input(const Target& target, Request& request) {
  if (request.operation == Operation::embeddings) return embedded_size(request, nullptr);
  if (is_raw(request)) {
    auto size = token::measure_openai_chat(request.body, target.model);
    return size ? std::optional(*size) : std::nullopt;
  }
  if (!read_canonical(request)) return std::nullopt;
  return token::measure(*request.canonical, target.model);
}

std::optional<CountedInput> count_input(const Target& target, Request& request) {
  if (request.context) {
    if (auto counted = request.context->counted(target)) return counted;
  }
  token::WorkLimit limit;
  bool exact = target.encoding != nullptr;
  if (exact && request.operation != Operation::embeddings) {
    if (is_raw(request)) {
      auto counted = token::count_openai_chat(request.body, *target.encoding, target.model, &exact);
      if (!counted) return std::nullopt;
      exact = exact && !limit.exceeded();
      request.input_size = {.tokens = *counted};
      return CountedInput{*counted, exact};
    }
    if (!read_canonical(request)) return std::nullopt;
    std::int64_t counted = token::count(*request.canonical, *target.encoding, target.model);
    request.input_size = {.tokens = counted};
    return CountedInput{counted, !limit.exceeded()};
  }
  auto size = exact ? embedded_size(request, target.encoding) : measure_input(target, request);
  if (!size) return std::nullopt;
  request.input_size = *size;
  return CountedInput{tokens_of(*size, target), exact && !limit.exceeded()};
}

std::int64_t output_most_of(const Route& route, base::WallMicros now) {
  std::int64_t most = 0;
  bool known = true;
  each_target(route, [&](const Target& target) {
    const price::Price* price = target.price_at(now);
    known = known && price != nullptr && price->output_max;
    if (known) most = std::max(most, *price->output_max);
  });
  return known ? most : 0;
}

std::optional<std::int64_t> dearest(const Target& target, const flow::Call& call, const Request& request) {
  if (request.operation == Operation::count_tokens) return 0;
  const price::Price* price = target.price_at(call.event.at);
  if (price == nullptr) return std::nullopt;
  price::Ask ask;
  ask.input = request.asked_input;
  ask.output = call.ask.tokens - request.asked_input;
  ask.cache_write = may_write_cache(request.body);
  ask.extras.service = price::service_of(request.service_tier).value_or(price::Service::standard);
  return price::reserve_cost(*price, ask);
}

void prepare_ask(flow::Call& call, const Route& route, Request& request) {
  name_model(call, route);
  if (request.operation == Operation::count_tokens) {
    call.ask.tokens = 0;
    return;
  }
  Stakes stakes = stakes_of(call, route);
  request.bounded = stakes.bounded;
  request.asked_input = call.input_tokens;
  if (stakes.counted) count_well(call, route, request, stakes.bounded, request.asked_input);
  std::int64_t output = allowed_output(call, route, request, stakes.bounded);
  call.ask.tokens = request.asked_input + times(output, request.output.answers);
  if (!stakes.priced) return;
  call.ask.cost = 0;
  each_target(route, [&](const Target& target) {
    auto cost = dearest(target, call, request);
    call.ask.cost = cost && call.ask.cost ? std::optional(std::max(*cost, *call.ask.cost)) : std::nullopt;
  });
}

bool is_bounded(const flow::Call& call, const Route& route) { return stakes_of(call, route).bounded; }

namespace {

// Of one answer. A large and fine picture of OpenAI's has 6,240.
std::int64_t passage_output(const price::Price* price, const Route& route, const Passage& passage) {
  constexpr std::int64_t kPictureTokens = 6240;
  if (price != nullptr && price->output_max) return *price->output_max;
  bool pictures = passage.needs.has(flow::Capability::images);
  return pictures ? std::max(route.output_assumed, kPictureTokens) : route.output_assumed;
}

std::optional<std::int64_t> dearest_passage(const Target& target, const flow::Call& call, const Route& route,
                                            const Passage& passage) {
  const price::Price* price = target.price_at(call.event.at);
  if (price == nullptr) return std::nullopt;
  price::Ask ask;
  ask.input = call.input_tokens;
  ask.output = times(passage_output(price, route, passage), std::max<std::int64_t>(passage.answers, 1));
  ask.extras.images = passage.images;
  return price::reserve_cost(*price, ask);
}

}  // namespace

void prepare_passage(flow::Call& call, const Route& route, const Passage& passage) {
  using Kind = Passage::Kind;
  name_model(call, route);
  call.needs = passage.needs;
  call.ask.tokens = passage.kind == Kind::free ? 0 : call.input_tokens;
  if (passage.answers > 0 && is_bounded(call, route)) {
    std::int64_t output = 0;
    each_target(route, [&](const Target& target) {
      output = std::max(output, passage_output(target.price_at(call.event.at), route, passage));
    });
    call.ask.tokens += times(output, passage.answers);
  }
  call.ask.cost = passage.kind == Kind::unknown ? std::nullopt : std::optional<std::int64_t>(0);
  // The targets may have budgets of their own.
  if (passage.kind != Kind::paid) return;
  each_target(route, [&](const Target& target) {
    auto cost = dearest_passage(target, call, route, passage);
    call.ask.cost = cost && call.ask.cost ? std::optional(std::max(*cost, *call.ask.cost)) : std::nullopt;
  });
}

std::int64_t output_most_for(const Target& target, const Request& request) {
  std::int64_t most = request.output_most;
  for (const auto& allowance : target.allowances) {
    if (allowance) most = least_said(most, allowance->rules.limits.output_max);
  }
  return most;
}

void bound_output(chat::Request& request, std::int64_t most, bool thoughts_beside) {
  if (most <= 0) return;
  request.max_output_tokens = std::min(request.max_output_tokens.value_or(most), most);
  chat::Reasoning& reasoning = request.reasoning;
  if (!thoughts_beside || !reasoning.said() || chat::is_off(reasoning)) return;
  // 1,024 is the least that Anthropic thinks with, and an answer is to follow.
  constexpr std::int64_t kThinkingLeast = 1024;
  std::int64_t room = *request.max_output_tokens - 1;
  if (room < kThinkingLeast) {
    reasoning = {};
    return;
  }
  if (std::int64_t wanted = chat::tokens_of(reasoning); wanted < 0 || wanted > room) {
    reasoning.budget_tokens = std::min(room, std::max(kThinkingLeast, *request.max_output_tokens / 2));
  } else {
    reasoning.budget_tokens = std::max(wanted, kThinkingLeast);
  }
}

namespace {

bool is_restricted(const flow::Call& call) {
  if (call.key == nullptr) return false;
  bool restricted = !call.key->profile().scopes.can.empty();
  for (const flow::Team* team = call.team; team != nullptr; team = team->above)
    restricted = restricted || !team->scopes.can.empty();
  return restricted;
}

struct IsPicture {
  bool operator()(const chat::Media& media) const { return media.kind != chat::Media::Kind::audio; }
  bool operator()(const chat::ToolResult& result) const {
    return std::ranges::any_of(result.content, [this](const auto& part) { return std::visit(*this, part); });
  }
  bool operator()(const auto&) const { return false; }
};

bool has_pictures(const std::vector<chat::Part>& parts) {
  return std::ranges::any_of(parts, [](const chat::Part& part) { return std::visit(IsPicture(), part.content); });
}

// What no translation carries goes on as it is where dialects agree: by its name it may be a tool, and whatever stands
// within a message a picture.
void add_unread(const std::vector<std::string>& names, flow::Capabilities& needs) {
  for (const std::string& name : names) {
    if (name.find("ool") != std::string::npos || name.find("unction") != std::string::npos)
      needs.add(flow::Capability::tools);
    if (name.find('[') != std::string::npos) needs.add(flow::Capability::vision);
  }
}

bool is_said(const json::Field& field) {
  using Kind = json::Field::Kind;
  bool none = field.kind == Kind::absent || field.kind == Kind::null;
  return !none && !(field.kind == Kind::array && field.elements == 0);
}

// Also those that the provider has: OpenAI's search, Anthropic's connections to others.
bool says_tools(std::string_view body) {
  constexpr std::array<std::string_view, 4> kNames{"tools", "functions", "web_search_options", "mcp_servers"};
  std::array<json::Field, kNames.size()> fields;
  if (!json::peek(body, kNames, fields)) return true;
  return std::ranges::any_of(fields, is_said);
}

// The list of what an answer is to be has a picture in it; what is spelt with escapes may be one.
bool names_picture(std::string_view body, std::span<const std::string_view> names) {
  std::array<json::Field, 2> fields;
  if (!json::peek(body, names, std::span(fields).first(names.size()))) return true;
  return std::ranges::any_of(fields, [body](const json::Field& field) {
    std::string said(body.substr(field.begin, field.end - field.begin));
    std::ranges::transform(said, said.begin(), wire::lower);
    return said.find("image") != std::string::npos || said.find('\\') != std::string::npos;
  });
}

bool says_pictures(std::string_view body) {
  constexpr std::array<std::string_view, 1> kModalities{"modalities"};
  constexpr std::array<std::string_view, 2> kConfigs{"generationConfig", "generation_config"};
  constexpr std::array<std::string_view, 2> kInner{"responseModalities", "response_modalities"};
  if (names_picture(body, kModalities)) return true;
  std::array<json::Field, kConfigs.size()> configs;
  if (!json::peek(body, kConfigs, configs)) return true;
  return std::ranges::any_of(configs, [&](const json::Field& config) {
    return config.kind == json::Field::Kind::object &&
           names_picture(body.substr(config.begin, config.end - config.begin), kInner);
  });
}

}  // namespace

flow::Capabilities needs_of(const flow::Call& call, Request& request) {
  using flow::Capability;
  if (request.operation == Operation::embeddings) return {Capability::embeddings};
  flow::Capabilities needs{Capability::chat};
  if (!is_restricted(call)) return needs;
  if (!request.canonical && request.codec != nullptr) {
    if (auto read = request.codec->read_request(request.body))
      request.canonical = std::make_shared<chat::Request>(std::move(*read));
  }
  // What is not understood may be anything.
  if (!request.canonical) return {Capability::chat, Capability::tools, Capability::vision, Capability::images};
  if (!request.canonical->tools.empty() || says_tools(request.body)) needs.add(Capability::tools);
  if (says_pictures(request.body)) needs.add(Capability::images);
  for (const chat::Message& message : request.canonical->messages) {
    if (has_pictures(message.parts)) needs.add(Capability::vision);
  }
  add_unread(request.canonical->unread, needs);
  return needs;
}

Result<void> raise_ask(flow::Call& call, const Route& route, Request& request) {
  prepare_ask(call, route, request);
  if (!call.reservation) return {};
  bool more =
      call.ask.tokens > call.reservation.held_tokens() || call.ask.cost.value_or(0) > call.reservation.held_cost();
  if (!more) return {};
  quota::Now now{call.exchange.loop().now(), base::system_clock().wall()};
  auto denial = call.reservation.use({call.ask.tokens, call.ask.cost}, now);
  if (!denial) return {};
  if (denial->retry_after.count() > 0) call.retry_after = denial->retry_after;
  return std::unexpected(std::move(denial->error));
}

void learn(const Target& target, const Request& request, const Usage& usage) {
  if (target.encoding != nullptr || request.input_size.text_bytes < token::Calibration::kBytesMin) return;
  target.calibration->learn(request.input_size.text_bytes,
                            std::max<std::int64_t>(usage.input - request.input_size.tokens, 1));
}

}  // namespace penstock::llm
