#include "chat/finish.h"

namespace penstock::chat {
namespace {

// Reading: the first row whose word matches. Writing: the first row with that reason.
struct Row {
  Family family;
  std::string_view word;
  Finish finish;
};

constexpr Row kRows[] = {
    {Family::openai, "stop", Finish::stop},
    {Family::openai, "stop", Finish::stop_sequence},
    {Family::openai, "stop", Finish::pause},
    {Family::openai, "length", Finish::length},
    {Family::openai, "length", Finish::context_length},
    {Family::openai, "tool_calls", Finish::tool_calls},
    {Family::openai, "function_call", Finish::tool_calls},
    {Family::openai, "content_filter", Finish::content_filter},
    {Family::openai, "content_filter", Finish::refusal},
    {Family::openai, "error", Finish::error},

    {Family::anthropic, "end_turn", Finish::stop},
    {Family::anthropic, "stop_sequence", Finish::stop_sequence},
    {Family::anthropic, "max_tokens", Finish::length},
    {Family::anthropic, "model_context_window_exceeded", Finish::context_length},
    {Family::anthropic, "tool_use", Finish::tool_calls},
    {Family::anthropic, "refusal", Finish::refusal},
    {Family::anthropic, "refusal", Finish::content_filter},
    {Family::anthropic, "pause_turn", Finish::pause},

    {Family::gemini, "STOP", Finish::stop},
    {Family::gemini, "STOP", Finish::stop_sequence},
    {Family::gemini, "STOP", Finish::tool_calls},
    {Family::gemini, "STOP", Finish::pause},
    {Family::gemini, "MAX_TOKENS", Finish::length},
    {Family::gemini, "MAX_TOKENS", Finish::context_length},
    {Family::gemini, "SAFETY", Finish::content_filter},
    {Family::gemini, "SAFETY", Finish::refusal},
    {Family::gemini, "RECITATION", Finish::content_filter},
    {Family::gemini, "BLOCKLIST", Finish::content_filter},
    {Family::gemini, "PROHIBITED_CONTENT", Finish::content_filter},
    {Family::gemini, "SPII", Finish::content_filter},
    {Family::gemini, "LANGUAGE", Finish::content_filter},
    {Family::gemini, "IMAGE_SAFETY", Finish::content_filter},
    {Family::gemini, "IMAGE_PROHIBITED_CONTENT", Finish::content_filter},
    {Family::gemini, "IMAGE_RECITATION", Finish::content_filter},
    {Family::gemini, "OTHER", Finish::error},
    {Family::gemini, "IMAGE_OTHER", Finish::error},
    {Family::gemini, "NO_IMAGE", Finish::error},
    {Family::gemini, "MALFORMED_FUNCTION_CALL", Finish::error},
    {Family::gemini, "UNEXPECTED_TOOL_CALL", Finish::error},
    {Family::gemini, "TOO_MANY_TOOL_CALLS", Finish::error},
    {Family::gemini, "MISSING_THOUGHT_SIGNATURE", Finish::error},
    {Family::gemini, "MALFORMED_RESPONSE", Finish::error},
    {Family::gemini, "MODEL_ARMOR", Finish::content_filter},
    // Google says of these two no more than their names: both withhold the rest of an answer, and are no success.
    {Family::gemini, "ESCALATION", Finish::content_filter},
    {Family::gemini, "PUP_LIMITED_DISABLED", Finish::content_filter},
    {Family::gemini, "CONTINUATION", Finish::pause},

    {Family::ollama, "stop", Finish::stop},
    {Family::ollama, "stop", Finish::stop_sequence},
    {Family::ollama, "stop", Finish::tool_calls},
    {Family::ollama, "stop", Finish::content_filter},
    {Family::ollama, "stop", Finish::refusal},
    {Family::ollama, "stop", Finish::pause},
    {Family::ollama, "length", Finish::length},
    {Family::ollama, "length", Finish::context_length},
    {Family::ollama, "load", Finish::error},
    {Family::ollama, "unload", Finish::error},
};

bool was_cut(Finish finish) {
  return finish == Finish::length || finish == Finish::context_length || finish == Finish::content_filter ||
         finish == Finish::error;
}

}  // namespace

Finish read_finish(Family family, std::string_view word, bool has_calls) {
  if (word.empty() || word == "FINISH_REASON_UNSPECIFIED") return Finish::none;
  Finish finish = Finish::stop;
  for (const Row& row : kRows) {
    if (row.family != family || row.word != word) continue;
    finish = row.finish;
    break;
  }
  return has_calls && !was_cut(finish) ? Finish::tool_calls : finish;
}

std::string_view write_finish(Family family, Finish finish) {
  for (const Row& row : kRows) {
    if (row.family == family && row.finish == finish) return row.word;
  }
  return {};
}

std::string_view to_string(Finish finish) {
  switch (finish) {
    case Finish::none: return "none";
    case Finish::stop: return "stop";
    case Finish::stop_sequence: return "stop_sequence";
    case Finish::length: return "length";
    case Finish::context_length: return "context_length";
    case Finish::tool_calls: return "tool_calls";
    case Finish::content_filter: return "content_filter";
    case Finish::refusal: return "refusal";
    case Finish::pause: return "pause";
    case Finish::error: return "error";
  }
  return "none";
}

}  // namespace penstock::chat
