#include "mock/render.h"

#include "json/value.h"

namespace penstock::mock {
namespace {

// Answers repeat exactly, so they carry no clock.
constexpr std::int64_t kCreated = 1'700'000'000;

std::string usage_object(const Completion& completion) {
  return fmt::format(
      R"({{"prompt_tokens":{},"completion_tokens":{},"total_tokens":{},"prompt_tokens_details":{{"cached_tokens":{},"audio_tokens":0}},)"
      R"("completion_tokens_details":{{"reasoning_tokens":{},"audio_tokens":0,"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}}}})",
      completion.prompt_tokens, completion.completion_tokens, completion.prompt_tokens + completion.completion_tokens,
      completion.cached_tokens, completion.reasoning_tokens);
}

void append_head(std::string& out, const Completion& completion, std::string_view object) {
  fmt::format_to(std::back_inserter(out), R"({{"id":"{}-{:016x}","object":"{}","created":{},"model":)",
                 completion.chat ? "chatcmpl" : "cmpl", completion.key, object, kCreated);
  json::append_quoted(out, completion.model);
  out += R"(,"system_fingerprint":"mock","choices":[)";
}

void append_calls(std::string& out, const std::vector<ToolCall>& calls) {
  out += R"(,"tool_calls":[)";
  for (std::size_t i = 0; i < calls.size(); ++i) {
    if (i > 0) out += ',';
    out += R"({"id":)";
    json::append_quoted(out, calls[i].id);
    out += R"(,"type":"function","function":{"name":)";
    json::append_quoted(out, calls[i].name);
    out += R"(,"arguments":)";
    json::append_quoted(out, calls[i].arguments);
    out += "}}";
  }
  out += ']';
}

// The probability of a token depends on its text alone.
void append_logprob(std::string& out, std::string_view token) {
  double logprob = -Random(hash(token, 0)).unit();
  std::string bytes;
  for (char c : token)
    fmt::format_to(std::back_inserter(bytes), "{}{}", bytes.empty() ? "" : ",", static_cast<unsigned char>(c));
  out += R"({"token":)";
  json::append_quoted(out, token);
  fmt::format_to(std::back_inserter(out), R"(,"logprob":{:.6f},"bytes":[{}],"top_logprobs":[]}})", logprob, bytes);
}

std::string logprobs_of(const Text& text, std::size_t first, std::size_t end) {
  std::string out = R"({"content":[)";
  for (std::size_t i = first; i < end; ++i) {
    if (i > first) out += ',';
    append_logprob(out, text.piece(i));
  }
  return out + R"(],"refusal":null})";
}

void append_message(std::string& out, const Choice& choice) {
  out += R"("message":{"role":"assistant","content":)";
  if (choice.refuses || (!choice.calls.empty() && choice.content.text.empty())) {
    out += "null";
  } else {
    json::append_quoted(out, choice.content.text);
  }
  if (!choice.thoughts.text.empty()) {
    out += R"(,"reasoning_content":)";
    json::append_quoted(out, choice.thoughts.text);
  }
  if (!choice.calls.empty()) append_calls(out, choice.calls);
  out += R"(,"refusal":)";
  if (choice.refuses) {
    json::append_quoted(out, choice.content.text);
  } else {
    out += "null";
  }
  out += '}';
}

void append_choice(std::string& out, const Choice& choice, std::size_t index, const Completion& completion) {
  fmt::format_to(std::back_inserter(out), R"({{"index":{},)", index);
  if (completion.chat) {
    append_message(out, choice);
  } else {
    out += R"("text":)";
    json::append_quoted(out, choice.content.text);
  }
  bool told = completion.logprobs && completion.chat;
  fmt::format_to(std::back_inserter(out), R"(,"logprobs":{},"finish_reason":"{}"}})",
                 told ? logprobs_of(choice.content, 0, choice.content.ends.size()) : "null", choice.finish);
}

}  // namespace

std::string render_plain(const Completion& completion, bool usage) {
  std::string out;
  out.reserve(1024);
  append_head(out, completion, completion.chat ? "chat.completion" : "text_completion");
  for (std::size_t i = 0; i < completion.choices.size(); ++i) {
    if (i > 0) out += ',';
    append_choice(out, completion.choices[i], i, completion);
  }
  out += ']';
  if (usage) {
    out += R"(,"usage":)";
    out += usage_object(completion);
  }
  out += '}';
  return out;
}

StreamRenderer::StreamRenderer(const Completion& completion, bool usage)
    : completion_(completion),
      usage_(usage && completion.include_usage),
      step_(completion.chat ? Step::role : Step::content) {
  head_ = "data: ";
  append_head(head_, completion, completion.chat ? "chat.completion.chunk" : "text_completion");
  event_.reserve(head_.size() + 256);
  for (const Choice& choice : completion.choices) tokens_ += std::max<std::size_t>(choice.content.ends.size(), 1);
}

void StreamRenderer::chat_delta(std::string_view delta, std::string_view finish, std::string_view logprobs) {
  fmt::format_to(std::back_inserter(event_), R"({{"index":{},"delta":{{{}}},"logprobs":{},"finish_reason":)", choice_,
                 delta, logprobs);
  if (finish.empty()) {
    event_ += "null}]";
  } else {
    fmt::format_to(std::back_inserter(event_), R"("{}"}}])", finish);
  }
}

void StreamRenderer::text_delta(std::string_view text, std::string_view finish) {
  fmt::format_to(std::back_inserter(event_), R"({{"index":{},"text":)", choice_);
  json::append_quoted(event_, text);
  event_ += R"(,"logprobs":null,"finish_reason":)";
  if (finish.empty()) {
    event_ += "null}]";
  } else {
    fmt::format_to(std::back_inserter(event_), R"("{}"}}])", finish);
  }
}

// Choices take turns: the n-th token of each, then the next token.
void StreamRenderer::advance_choice(Step again, Step then) {
  if (++choice_ < completion_.choices.size()) {
    step_ = again;
    return;
  }
  choice_ = 0;
  step_ = then;
}

void StreamRenderer::content_event() {
  std::string_view piece = completion_.choices[choice_].content.piece(piece_);
  token_ = true;
  if (!completion_.chat) {
    text_delta(piece, {});
    return;
  }
  const Choice& choice = completion_.choices[choice_];
  delta_ = choice.refuses ? R"("refusal":)" : R"("content":)";
  json::append_quoted(delta_, piece);
  chat_delta(delta_, {}, completion_.logprobs ? logprobs_of(choice.content, piece_, piece_ + 1) : "null");
}

// One token of a text the choices take turns with. False when none has this many.
bool StreamRenderer::turn(const Text Choice::* text, Step then) {
  bool any = false;
  for (const Choice& choice : completion_.choices) any = any || piece_ < (choice.*text).ends.size();
  if (!any) {
    step_ = then;
    choice_ = call_ = piece_ = 0;
    return false;
  }
  bool has = piece_ < (completion_.choices[choice_].*text).ends.size();
  if (has) text == &Choice::thoughts ? thought_event() : content_event();
  advance_choice(step_, step_);
  if (choice_ == 0) ++piece_;
  return has;
}

void StreamRenderer::thought_event() {
  token_ = true;
  delta_ = R"("reasoning_content":)";
  json::append_quoted(delta_, completion_.choices[choice_].thoughts.piece(piece_));
  chat_delta(delta_, {});
}

// The name first, then the arguments in fragments.
void StreamRenderer::call_event() {
  constexpr std::size_t kFragmentBytes = 8;
  const ToolCall& call = completion_.choices[choice_].calls[call_];
  token_ = true;
  delta_.clear();
  if (!call_named_) {
    fmt::format_to(std::back_inserter(delta_),
                   R"("tool_calls":[{{"index":{},"id":"{}","type":"function","function":{{"name":)", call_, call.id);
    json::append_quoted(delta_, call.name);
    delta_ += R"(,"arguments":""}}])";
    call_named_ = true;
    chat_delta(delta_, {});
    return;
  }
  std::size_t end = std::min(call_at_ + kFragmentBytes, call.arguments.size());
  while (end < call.arguments.size() && (static_cast<unsigned char>(call.arguments[end]) & 0xC0U) == 0x80U) ++end;
  fmt::format_to(std::back_inserter(delta_), R"("tool_calls":[{{"index":{},"function":{{"arguments":)", call_);
  json::append_quoted(delta_, std::string_view(call.arguments).substr(call_at_, end - call_at_));
  delta_ += "}}]";
  chat_delta(delta_, {});
  call_at_ = end;
  if (call_at_ < call.arguments.size()) return;
  call_named_ = false;
  call_at_ = 0;
  ++call_;
}

std::string_view StreamRenderer::next() {
  event_ = head_;
  token_ = false;
  // Passes by what has nothing to say: choices that are shorter than others, a usage nobody asked for.
  while (true) {
    if (step_ == Step::role) {
      bool calls = !completion_.choices[choice_].calls.empty();
      chat_delta(calls ? R"("role":"assistant","content":null,"refusal":null)"
                       : R"("role":"assistant","content":"","refusal":null)",
                 {});
      advance_choice(Step::role, Step::thought);
      break;
    }
    if (step_ == Step::thought || step_ == Step::content) {
      bool thinks = step_ == Step::thought;
      if (turn(thinks ? &Choice::thoughts : &Choice::content, thinks ? Step::content : Step::call)) break;
      continue;
    }
    if (step_ == Step::call) {
      if (call_ < completion_.choices[choice_].calls.size()) {
        call_event();
        break;
      }
      call_ = 0;
      advance_choice(Step::call, Step::finish);
      continue;
    }
    if (step_ == Step::finish) {
      std::string_view finish = completion_.choices[choice_].finish;
      completion_.chat ? chat_delta({}, finish) : text_delta({}, finish);
      advance_choice(Step::finish, usage_ ? Step::usage : Step::done);
      break;
    }
    if (step_ == Step::usage) {
      event_ += fmt::format(R"(],"usage":{}}})", usage_object(completion_));
      event_ += "\n\n";
      step_ = Step::done;
      return event_;
    }
    if (step_ == Step::done) {
      step_ = Step::over;
      event_ = "data: [DONE]\n\n";
      return event_;
    }
    return {};
  }
  event_ += usage_ ? R"(,"usage":null})" : "}";
  event_ += "\n\n";
  return event_;
}

std::string error_body(std::string_view message, std::string_view type, std::string_view param, std::string_view code) {
  auto optional = [](std::string& out, std::string_view text) {
    if (text.empty()) {
      out += "null";
    } else {
      json::append_quoted(out, text);
    }
  };
  std::string out = R"({"error":{"message":)";
  json::append_quoted(out, message);
  out += R"(,"type":)";
  json::append_quoted(out, type);
  out += R"(,"param":)";
  optional(out, param);
  out += R"(,"code":)";
  optional(out, code);
  out += "}}";
  return out;
}

}  // namespace penstock::mock
