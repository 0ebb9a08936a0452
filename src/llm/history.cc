#include "llm/history.h"

#include <algorithm>
#include <iterator>

#include "json/cursor.h"

namespace penstock::llm {
namespace {

using chat::Family;
using chat::Operation;
using json::Cursor;

// What a member of an element tells.
enum class Clue : std::uint8_t { role, type, call, result, answer, words };

struct Place {
  std::string_view path;  // lists on the way are not named
  Clue clue;
};

// OpenAI, API reference, "Create chat completion".
constexpr Place kOpenAiPlaces[] = {{"role", Clue::role}, {"tool_calls.id", Clue::call}, {"tool_call_id", Clue::result}};
// OpenAI, API reference, "Create a model response". An item has an id of its own, by which approvals name it.
constexpr Place kResponsesPlaces[] = {{"role", Clue::role},
                                      {"type", Clue::type},
                                      {"id", Clue::call},
                                      {"call_id", Clue::call},
                                      {"approval_request_id", Clue::result}};
// Anthropic, API reference, "Messages": tools' results are the user's.
constexpr Place kAnthropicPlaces[] = {{"role", Clue::role},
                                      {"content.id", Clue::call},
                                      {"content.tool_use_id", Clue::result},
                                      {"content.text", Clue::words}};
// Google, Gemini API, "Content" and "Part": ids are optional, and both spellings are taken.
constexpr Place kGeminiPlaces[] = {{"role", Clue::role},
                                   {"parts.text", Clue::words},
                                   {"parts.functionCall.id", Clue::call},
                                   {"parts.function_call.id", Clue::call},
                                   {"parts.functionResponse", Clue::answer},
                                   {"parts.function_response", Clue::answer},
                                   {"parts.functionResponse.id", Clue::result},
                                   {"parts.function_response.id", Clue::result}};

struct Shape {
  Family family;
  Operation operation;
  std::string_view list;
  std::span<const Place> places;
};

constexpr Shape kShapes[] = {{Family::openai, Operation::chat, "messages", kOpenAiPlaces},
                             {Family::openai, Operation::responses, "input", kResponsesPlaces},
                             {Family::anthropic, Operation::chat, "messages", kAnthropicPlaces},
                             {Family::gemini, Operation::chat, "contents", kGeminiPlaces},
                             {Family::ollama, Operation::chat, "messages", kOpenAiPlaces}};

constexpr std::pair<std::string_view, Speaker> kRoles[] = {
    {"system", Speaker::instruction}, {"developer", Speaker::instruction}, {"user", Speaker::user},
    {"assistant", Speaker::model},    {"model", Speaker::model},           {"tool", Speaker::tool},
    {"function", Speaker::tool}};

// Reads one element.
class ElementReader {
 public:
  ElementReader(Cursor& in, const Shape& shape) : in_(in), shape_(shape) {}

  Entry read() {
    value();
    name_speaker();
    return std::move(entry_);
  }

 private:
  void value() {
    if (in_.peek() == Cursor::Kind::object) {
      std::string_view key;
      in_.open_object();
      while (in_.next_member(key)) member(key);
    } else if (in_.peek() == Cursor::Kind::array) {
      in_.open_array();
      while (in_.next_element()) value();
    } else {
      in_.skip();
    }
  }

  void member(std::string_view key) {
    std::size_t outer = path_.size();
    if (outer > 0) path_ += '.';
    path_ += key;
    bool deeper = false;
    const Place* found = nullptr;
    for (const Place& place : shape_.places) {
      if (place.path == path_) found = &place;
      deeper = deeper || (place.path.starts_with(path_) && place.path.substr(path_.size()).starts_with('.'));
    }
    // A name with a dot in it is no path.
    if (key.find('.') != std::string_view::npos) found = nullptr, deeper = false;
    if (found != nullptr) note(found->clue);
    if (deeper) {
      value();
    } else {
      in_.skip();
    }
    path_.resize(outer);
  }

  void note(Clue clue) {
    if (clue == Clue::answer) answers_ = true;
    if (clue == Clue::words) entry_.words = true;
    if (in_.peek() != Cursor::Kind::string) return;
    std::string text;
    std::size_t at = in_.offset();
    if (!in_.read_string(text)) return;
    in_.seek(at);
    if (clue == Clue::role) role_ = std::move(text);
    if (clue == Clue::type) type_ = std::move(text);
    if (clue == Clue::call) entry_.calls.push_back(std::move(text));
    if (clue == Clue::result) entry_.results.push_back(std::move(text));
  }

  void name_speaker() {
    for (char& c : role_) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;  // Ollama takes any case
    // Items of the Responses API that have no role are the model's, and what answers them.
    bool item = role_.empty() && !type_.empty();
    bool output = item && (type_.ends_with("_output") || type_.ends_with("_response"));
    const auto* known =
        std::ranges::find(kRoles, std::string_view(role_), &std::pair<std::string_view, Speaker>::first);
    entry_.speaker = output                      ? Speaker::tool
                     : item                      ? Speaker::model
                     : known != std::end(kRoles) ? known->second
                                                 : Speaker::user;
    if (output) std::ranges::move(std::exchange(entry_.calls, {}), std::back_inserter(entry_.results));
    bool results = answers_ || !entry_.results.empty();
    if (entry_.speaker == Speaker::user && results) {
      entry_.speaker = Speaker::tool;
    } else {
      entry_.words = entry_.speaker == Speaker::user;
    }
  }

  Cursor& in_;
  const Shape& shape_;
  Entry entry_;
  std::string path_;
  std::string role_;
  std::string type_;
  bool answers_ = false;
};

void read_list(Cursor& in, const Shape& shape, History& history) {
  in.open_array();
  while (in.next_element()) {
    std::size_t begin = in.offset();
    Entry entry = ElementReader(in, shape).read();
    entry.begin = begin;
    entry.end = in.offset();
    history.entries.push_back(std::move(entry));
  }
  history.end = in.offset();
}

}  // namespace

Result<History> read_history(Family family, Operation operation, std::string_view body) {
  const auto* shape = std::ranges::find_if(
      kShapes, [&](const Shape& each) { return each.family == family && each.operation == operation; });
  History history;
  if (shape == std::end(kShapes)) return history;
  history.list = shape->list;
  Cursor in(body);
  std::string_view key;
  bool seen = false;
  in.open_object();
  while (in.next_member(key)) {
    bool named = key == shape->list;
    if (named && std::exchange(seen, true))
      return fail(Errc::invalid_argument, fmt::format("'{}' stands in the body twice", shape->list));
    if (named && in.peek() == Cursor::Kind::array) {
      read_list(in, *shape, history);
    } else {
      in.skip();
    }
  }
  if (!in.finish()) return fail(Errc::invalid_argument, in.error());
  return history;
}

std::string without(std::string_view body, const History& history, std::span<const std::uint32_t> dropped) {
  std::string kept;
  kept.reserve(body.size());
  std::size_t from = 0;
  for (std::uint32_t index : dropped) {
    kept += body.substr(from, history.entries[index].begin - from);
    from = history.entries[index + 1].begin;
  }
  kept += body.substr(from);
  return kept;
}

}  // namespace penstock::llm
