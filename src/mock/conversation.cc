#include "mock/conversation.h"

#include <algorithm>

#include "mock/base64.h"
#include "mock/instance.h"

namespace penstock::mock {
namespace {

std::string lower(std::string_view text) {
  std::string result(text);
  for (char& c : result) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return result;
}

bool is_name_byte(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.' || c == ':';
}

const Tool* named(const std::vector<Tool>& tools, std::string_view word) {
  for (const Tool& tool : tools) {
    if (lower(tool.name) == word) return &tool;
  }
  return nullptr;
}

// "call a", "call a and b", "call a, b and c": the tools in the order they are named. `asked` is lower case.
std::vector<const Tool*> named_after_call(std::string_view asked, const std::vector<Tool>& tools) {
  std::vector<const Tool*> chosen;
  constexpr std::string_view kCall = "call ";
  for (std::size_t at = asked.find(kCall); at != std::string_view::npos; at = asked.find(kCall, at + 1)) {
    std::string_view rest = asked.substr(at + kCall.size());
    while (!rest.empty()) {
      auto end = static_cast<std::size_t>(std::ranges::find_if_not(rest, is_name_byte) - rest.begin());
      std::string_view word = rest.substr(0, end);
      while (word.ends_with('.') || word.ends_with(':')) word.remove_suffix(1);
      if (const Tool* tool = named(tools, word)) {
        chosen.push_back(tool);
      } else if (word != "and" && !word.empty()) {
        break;
      }
      rest.remove_prefix(end);
      std::size_t next = rest.find_first_not_of(", ");
      if (next == std::string_view::npos || (next == 0 && end == 0)) break;
      rest.remove_prefix(next);
    }
  }
  return chosen;
}

// A user asks for a tool by a word of its name: "weather" for get_weather; or by saying "tool".
bool asks_for(std::string_view asked, std::string_view tool) {
  constexpr std::size_t kTellingLength = 4;
  std::string name = lower(tool);
  std::string_view rest = name;
  while (!rest.empty()) {
    std::size_t end = std::min(rest.find_first_of("_-."), rest.size());
    if (end >= kTellingLength && asked.find(rest.substr(0, end)) != std::string_view::npos) return true;
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return asked.find("tool") != std::string_view::npos;
}

// The functions to call, none when the answer is words.
std::vector<const Tool*> chosen_tools(const Prompt& prompt) {
  std::vector<const Tool*> chosen;
  if (prompt.tools.empty() || prompt.choose == Choose::none) return chosen;
  if (!prompt.forced.empty()) {
    if (const Tool* tool = named(prompt.tools, lower(prompt.forced))) chosen.push_back(tool);
    return chosen;
  }
  std::string asked = lower(prompt.text);
  chosen = named_after_call(asked, prompt.tools);
  if (chosen.empty()) {
    for (const Tool& tool : prompt.tools) {
      if (asks_for(asked, tool.name)) chosen.push_back(&tool);
    }
  }
  if (chosen.empty() && prompt.choose == Choose::required) chosen.push_back(&prompt.tools.front());
  if (!prompt.parallel && chosen.size() > 1) chosen.resize(1);
  return chosen;
}

std::vector<ToolCall> calls_of(const std::vector<const Tool*>& tools, std::uint64_t mock_seed, std::uint64_t seed) {
  std::vector<ToolCall> calls;
  Random random(seed);
  for (const Tool* tool : tools) {
    ToolCall call;
    call.id = fmt::format("call_{:016x}", random.next());
    call.name = tool->name;
    // Two calls of one tool get different arguments.
    auto before = static_cast<std::uint64_t>(std::ranges::count(calls, call.name, &ToolCall::name));
    json::Value arguments =
        tool->parameters.is_object() ? instance_of(tool->parameters, hash(tool->name, mock_seed + before)) : nullptr;
    call.arguments = arguments.is_object() ? json::dump(arguments) : "{}";
    calls.push_back(std::move(call));
  }
  return calls;
}

std::string joined(const std::vector<std::string>& pieces) {
  std::string text;
  for (const std::string& piece : pieces) text += (text.empty() ? "" : " ") + piece;
  return text;
}

Text content_of(const Prompt& prompt, const Options& options, std::uint64_t seed) {
  auto count = static_cast<std::size_t>(options.tokens);
  if (prompt.format == Prompt::Format::object) {
    json::Object object;
    object["answer"] = words(seed, count).text;
    return tokenized(json::dump(object));
  }
  if (prompt.format == Prompt::Format::schema) return tokenized(json::dump(instance_of(prompt.schema, options.seed)));
  if (!prompt.results.empty()) return tokenized(fmt::format("The tools said: {}", joined(prompt.results)));
  Text said = words(seed, count);
  if (prompt.attachments.empty()) return said;
  return tokenized(fmt::format("{} {}", joined(prompt.attachments), said.text));
}

void shorten(Reply& reply, const Prompt& prompt) {
  std::size_t stop_at = std::string::npos;
  for (const std::string& stop : prompt.stops) {
    std::size_t at = stop.empty() ? std::string::npos : reply.content.text.find(stop);
    if (at >= stop_at) continue;
    stop_at = at;
    reply.stop_string = stop;
    reply.finish = Reply::Finish::stop_string;
  }
  reply.content.cut(stop_at);
  std::size_t room = prompt.tokens_max - std::min(prompt.tokens_max, reply.thoughts.ends.size());
  if (reply.content.ends.size() <= room && reply.thoughts.ends.size() <= prompt.tokens_max) return;
  reply.thoughts.keep(prompt.tokens_max);
  reply.content.keep(room);
  reply.stop_string.clear();
  reply.finish = Reply::Finish::length;
}

}  // namespace

std::int64_t Reply::tokens() const {
  auto count = static_cast<std::int64_t>(content.ends.size());
  for (const ToolCall& call : calls) count += estimate_tokens(call.arguments);
  return count;
}

std::int64_t estimate_tokens(std::string_view prompt) { return static_cast<std::int64_t>((prompt.size() + 3) / 4) + 3; }

Reply reply_to(const Prompt& prompt, const Traits& traits, const Options& options, std::uint64_t seed) {
  constexpr std::size_t kThoughtTokens = 12;
  Reply reply;
  if (traits.has(Trait::refusal)) {
    reply.content = tokenized("I cannot help with that.");
    reply.finish = Reply::Finish::refusal;
    return reply;
  }
  if (prompt.think || traits.has(Trait::think) || traits.has(Trait::redacted))
    reply.thoughts = words(seed ^ 0x5448494e4bULL, kThoughtTokens);
  auto tools = chosen_tools(prompt);
  if (!tools.empty()) {
    reply.calls = calls_of(tools, options.seed, seed);
    reply.finish = Reply::Finish::calls;
    if (traits.has(Trait::preface)) reply.content = words(seed, 6);
    return reply;
  }
  if (!traits.has(Trait::empty)) reply.content = content_of(prompt, options, seed);
  shorten(reply, prompt);
  if (traits.has(Trait::filtered)) {
    reply.content.keep(reply.content.ends.size() / 2);
    reply.finish = Reply::Finish::filter;
  }
  return reply;
}

std::string describe_bytes(std::string_view kind, std::string_view type, std::string_view base64) {
  auto size = base64_size(base64);
  if (!size) return fmt::format("[{} {} broken]", kind, type);
  return fmt::format("[{} {} {} bytes]", kind, type, *size);
}

std::string describe_link(std::string_view kind, std::string_view url) {
  constexpr std::string_view kData = "data:";
  constexpr std::string_view kBase64 = ";base64,";
  std::size_t mark = url.find(kBase64);
  if (!url.starts_with(kData) || mark == std::string_view::npos) return describe_url(kind, url);
  return describe_bytes(kind, url.substr(kData.size(), mark - kData.size()), url.substr(mark + kBase64.size()));
}

std::string describe_url(std::string_view kind, std::string_view url) { return fmt::format("[{} url {}]", kind, url); }

}  // namespace penstock::mock
