#include "llm/context_fit.h"

#include <algorithm>

#include "token/chat_count.h"
#include "token/openai_message.h"

namespace penstock::llm {
namespace {

// A part of the body went, all of it before `end`.
void move_up(std::size_t& at, std::size_t end, std::size_t bytes) {
  if (at >= end) at -= bytes;
}

void move_up(json::Field& field, std::size_t end, std::size_t bytes) {
  move_up(field.begin, end, bytes);
  move_up(field.end, end, bytes);
}

void move_up(OutputWish& wish, std::size_t end, std::size_t bytes) {
  for (OutputWish::Number& number : wish.numbers) {
    move_up(number.begin, end, bytes);
    move_up(number.end, end, bytes);
  }
  move_up(wish.insert_at, end, bytes);
  move_up(wish.insert_end, end, bytes);
}

}  // namespace

ContextFit::ContextFit(const Request& request)
    : body_(request.body), model_(request.model), stream_options_(request.stream_options), output_(request.output) {}

std::optional<CountedInput> ContextFit::counted(const Target& target) const {
  auto told = told_.find(target.label.view());
  return told == told_.end() ? std::nullopt : std::optional(told->second.input);
}

bool ContextFit::present(const Target& target, flow::Call& call, Request& request) {
  auto told = told_.find(target.label.view());
  std::size_t dropped = 0;
  if (told != told_.end()) {
    request.input_size = told->second.size;
    call.input_tokens = told->second.input.tokens;
    dropped = told->second.dropped.size();
  }
  call.event.trimmed = static_cast<std::uint16_t>(std::min<std::size_t>(dropped, 0xFFFF));
  const auto* less = dropped > 0 ? &told->second.dropped : nullptr;
  if (less == presented_) return false;
  presented_ = less;
  request.body = body_;
  request.model = model_;
  request.stream_options = stream_options_;
  request.output = output_;
  request.canonical = nullptr;
  if (less == nullptr) return true;
  trimmed_ = without(body_, *history_, *less);
  std::size_t bytes = body_.size() - trimmed_.size();
  request.body = trimmed_;
  move_up(request.model, history_->end, bytes);
  move_up(request.stream_options, history_->end, bytes);
  move_up(request.output, history_->end, bytes);
  return true;
}

// Of one call.
class ContextCheck {
 public:
  ContextCheck(const flow::Call& call, const Route& route, Request& request)
      : call_(call),
        route_(route),
        rule_(*route.context),
        request_(request),
        fit_(std::make_shared<ContextFit>(request)) {}

  bool fits(const Target& target) {
    auto known = verdicts_.find(target.label.view());
    if (known == verdicts_.end()) known = verdicts_.emplace(target.label.view(), judge(target)).first;
    return known->second;
  }
  std::shared_ptr<ContextFit> result() const { return fit_; }
  Error refusal() const;

 private:
  // The best that could be had.
  struct Excess {
    std::int64_t window = 0;
    std::int64_t reserve = 0;
    std::int64_t input = 0;
    std::size_t dropped = 0;
    bool exact = false;
    std::int64_t over() const { return input + reserve - window; }
  };

  bool judge(const Target& target) {
    Excess excess;
    excess.window = window_of(target);
    if (excess.window == 0) return true;
    bool embeds = request_.operation == Operation::embeddings;
    excess.reserve = embeds ? 0 : reserve_of(excess.window);
    if (!embeds && surely_fits(target, excess)) return true;
    auto input = embeds ? count_longest_text(target, request_) : count_input(target, request_);
    if (!input) return true;  // the provider will say what is wrong with it
    excess.input = input->tokens;
    excess.exact = input->exact;
    if (embeds) return excess.over() <= 0 || note(excess);
    ContextFit::Told told;
    told.input = *input;
    told.size = input->exact ? token::InputSize{.tokens = input->tokens} : request_.input_size;
    if (excess.over() > 0 && rule_.trim) leave_out(target, excess, told);
    if (excess.over() > 0) return note(excess);
    fit_->told_.emplace(target.label.view(), std::move(told));
    return true;
  }

  // No token is less than a byte of text: most calls need not be counted.
  bool surely_fits(const Target& target, const Excess& excess) {
    if (target.encoding == nullptr) return false;
    auto size = measure_input(target, request_);
    return size && size->tokens + size->text_bytes + excess.reserve <= excess.window;
  }

  bool note(const Excess& excess) {
    if (!least_ || excess.over() < least_->over()) least_ = excess;
    return false;
  }

  std::int64_t window_of(const Target& target) const {
    if (rule_.window > 0) return rule_.window;
    const price::Price* price = target.price_at(call_.event.at);
    return price == nullptr ? 0 : price->context.value_or(0);
  }

  // What the client or a limit lets the answer have. Where neither says it, as much as a call without a maximum is
  // taken to have, but no more than a quarter of the window.
  std::int64_t reserve_of(std::int64_t window) const {
    if (rule_.reserve) return *rule_.reserve;
    std::int64_t said = said_output(call_, route_, request_);
    return said > 0 ? said : std::min(route_.output_assumed, window / 4);
  }

  void leave_out(const Target& target, Excess& excess, ContextFit::Told& told) {
    if (!fit_->history_) {
      auto read = read_history(request_.family, request_.operation, request_.body);
      fit_->history_ = read ? std::move(*read) : History();
    }
    auto tokens = [&](std::span<const std::uint32_t> places) {
      token::InputSize size = size_of(places, target);
      told.size.tokens -= size.tokens;
      told.size.text_bytes -= size.text_bytes;
      auto bytes = static_cast<double>(size.text_bytes);
      return size.tokens + static_cast<std::int64_t>(bytes * target.calibration->tokens_per_byte());
    };
    Trimming trimming = trim(fit_->history_->entries, rule_.keep, excess.over(), tokens);
    told.dropped = std::move(trimming.dropped);
    told.input.tokens -= trimming.freed;
    excess.input -= trimming.freed;
    excess.dropped = told.dropped.size();
  }

  token::InputSize size_of(std::span<const std::uint32_t> places, const Target& target) const;

  const flow::Call& call_;
  const Route& route_;
  const ContextRule& rule_;
  Request& request_;
  std::shared_ptr<ContextFit> fit_;
  std::map<std::string_view, bool> verdicts_;  // by the target's label
  std::optional<Excess> least_;
};

// These elements alone. What cannot be read counts as nothing: leaving it out frees nothing that is sure.
token::InputSize ContextCheck::size_of(std::span<const std::uint32_t> places, const Target& target) const {
  std::string body = fmt::format(R"({{"model":"m","max_tokens":1,"{}":[)", fit_->history_->list);
  for (std::uint32_t place : places) {
    const Entry& entry = fit_->history_->entries[place];
    base::append(body, body.ends_with('[') ? "" : ",", request_.body.substr(entry.begin, entry.end - entry.begin));
  }
  body += "]}";
  Result<chat::Request> read = fail(Errc::unimplemented, "");
  if (request_.family == Family::openai && request_.operation == Operation::chat) {
    auto parsed = json::parse(body);
    if (parsed) read.emplace();
    for (std::size_t i = 0; parsed && i < places.size(); ++i)
      read->messages.push_back(token::read_openai_message(parsed->get_object()["messages"].get_array()[i]));
  } else {
    read = request_.codec->read_request(body);
  }
  token::Tally tally(target.encoding, target.model);
  bool first = false;
  if (read) {
    for (const chat::Message& message : read->messages) token::add_message(message, false, first, tally);
  }
  return tally.size();
}

// Libraries know that a prompt is too long by words of the message, or by OpenAI's code.
Error ContextCheck::refusal() const {
  const Excess& least = *least_;
  std::int64_t room = std::max<std::int64_t>(least.window - least.reserve, 0);
  std::string lead;
  switch (request_.family) {
    case Family::openai:
      lead = fmt::format("this model's maximum context length is {} tokens, and the request needs {}", least.window,
                         least.input + least.reserve);
      break;
    case Family::anthropic: lead = fmt::format("prompt is too long: {} tokens > {} maximum", least.input, room); break;
    case Family::gemini:
      lead = fmt::format("the input token count ({}) exceeds the maximum number of tokens allowed ({})", least.input,
                         room);
      break;
    case Family::ollama:
      lead = fmt::format("the input length exceeds the context length: {} tokens of {}", least.input, room);
      break;
  }
  std::string left = least.dropped > 0 ? fmt::format(", even without the {} oldest messages", least.dropped) : "";
  return {Errc::out_of_range,
          fmt::format("{}: the input has {}{} tokens{}, and of the window of {} for the model '{}' {} are kept for the "
                      "answer; send less, or ask for a shorter answer",
                      lead, least.exact ? "" : "about ", least.input, left, least.window, route_.name.view(),
                      least.reserve)};
}

Result<std::shared_ptr<const Route>> fit_context(flow::Call& call, const std::shared_ptr<const Route>& route,
                                                 Request& request) {
  bool known = request.codec != nullptr || request.embeddings != nullptr;
  if (!route->context || !known || request.operation == Operation::count_tokens) return route;
  ContextCheck check(call, *route, request);
  auto kept = narrowed(route, [&check](const Target& target) { return check.fits(target); });
  if (!kept) {
    call.event.over_context = true;
    call.event.model = route->name;
    return std::unexpected(check.refusal());
  }
  request.context = check.result();
  return kept;
}

}  // namespace penstock::llm
