#include "chat/stream.h"

namespace penstock::chat {

Choice& AnswerCollector::at(int choice) {
  auto index = static_cast<std::size_t>(choice);
  if (answer_.choices.size() <= index) {
    answer_.choices.resize(index + 1);
    calls_.resize(index + 1);
  }
  return answer_.choices[index];
}

template <class T>
T& AnswerCollector::last(int choice) {
  auto& parts = at(choice).parts;
  if (parts.empty() || !std::holds_alternative<T>(parts.back().content)) parts.push_back({.content = T{}});
  return std::get<T>(parts.back().content);
}

void AnswerCollector::begin(const StreamHead& head) {
  answer_.id = head.id;
  answer_.model = head.model;
  answer_.created = head.created;
  answer_.service_tier = head.service_tier;
  answer_.system_fingerprint = head.system_fingerprint;
}

void AnswerCollector::text(int choice, std::string_view text) { last<Text>(choice).text += text; }

void AnswerCollector::citation(int choice, const Citation& citation) {
  last<Text>(choice).citations.push_back(citation);
}

void AnswerCollector::refusal(int choice, std::string_view text) { last<Refusal>(choice).text += text; }

void AnswerCollector::thinking(int choice, std::string_view text) {
  auto& parts = at(choice).parts;
  if (std::exchange(sealed_, false)) parts.push_back({.content = Thinking{}});
  last<Thinking>(choice).text += text;
}

void AnswerCollector::thinking_end(int choice, const Signature& signature, bool redacted) {
  auto& parts = at(choice).parts;
  if (redacted || sealed_) parts.push_back({.content = Thinking{}});
  Thinking& thinking = last<Thinking>(choice);
  thinking.signature = signature;
  thinking.redacted = redacted;
  sealed_ = true;
}

void AnswerCollector::media(int choice, const Media& media) { at(choice).parts.push_back({.content = media}); }

void AnswerCollector::call(int choice, int call, std::string_view id, std::string_view name,
                           const Signature& signature) {
  auto& parts = at(choice).parts;
  auto& calls = calls_[static_cast<std::size_t>(choice)];
  calls.resize(std::max(calls.size(), static_cast<std::size_t>(call) + 1));
  calls[static_cast<std::size_t>(call)] = parts.size();
  parts.push_back({.content = ToolCall{std::string(id), std::string(name), {}, signature}});
}

void AnswerCollector::arguments(int choice, int call, std::string_view fragment) {
  auto& parts = at(choice).parts;
  const auto& calls = calls_[static_cast<std::size_t>(choice)];
  if (static_cast<std::size_t>(call) >= calls.size()) return;
  if (auto* found = std::get_if<ToolCall>(&parts[calls[static_cast<std::size_t>(call)]].content))
    found->arguments += fragment;
}

void AnswerCollector::logprobs(int choice, const json::Value& logprobs) {
  json::Value& all = at(choice).logprobs;
  if (!all.is_object()) {
    all = logprobs;
    return;
  }
  const json::Value* more = json::find(logprobs, "content");
  json::Value* content = all.get_object().if_contains("content");
  if (more == nullptr || !more->is_array() || content == nullptr || !content->is_array()) return;
  for (const json::Value& entry : more->get_array()) content->get_array().push_back(entry);
}

void AnswerCollector::finish(int choice, Finish finish, std::string_view stop_sequence) {
  at(choice).finish = finish;
  at(choice).stop_sequence = stop_sequence;
}

namespace {

struct Replay {
  StreamSink& sink;
  int choice;
  int calls = 0;

  void operator()(const Text& part) {
    sink.text(choice, part.text);
    for (const Citation& citation : part.citations) sink.citation(choice, citation);
  }
  void operator()(const Media& part) { sink.media(choice, part); }
  void operator()(const Thinking& part) {
    if (!part.redacted) sink.thinking(choice, part.text);
    if (part.redacted || !part.signature.empty()) sink.thinking_end(choice, part.signature, part.redacted);
  }
  void operator()(const ToolCall& part) {
    sink.call(choice, calls, part.id, part.name, part.signature);
    sink.arguments(choice, calls++, part.arguments);
  }
  void operator()(const ToolResult&) {}
  void operator()(const Refusal& part) { sink.refusal(choice, part.text); }
};

}  // namespace

void replay(const Answer& answer, StreamSink& sink) {
  sink.begin({answer.id, answer.model, answer.created, answer.service_tier, answer.system_fingerprint});
  for (std::size_t i = 0; i < answer.choices.size(); ++i) {
    const Choice& choice = answer.choices[i];
    auto index = static_cast<int>(i);
    Replay each{sink, index};
    for (const Part& part : choice.parts) std::visit(each, part.content);
    if (!choice.logprobs.is_null()) sink.logprobs(index, choice.logprobs);
    if (choice.finish != Finish::none) sink.finish(index, choice.finish, choice.stop_sequence);
  }
  if (answer.usage.known) sink.usage(answer.usage);
  sink.end();
}

}  // namespace penstock::chat
