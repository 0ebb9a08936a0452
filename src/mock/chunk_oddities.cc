#include "mock/chunk_oddities.h"

#include <algorithm>
#include <optional>

namespace penstock::mock {
namespace {

constexpr std::string_view kDone = "[DONE]";

struct Chunk {
  json::Object value;
  bool token = false;
};

json::Object* first_choice(Chunk& chunk) {
  json::Value* choices = chunk.value.if_contains("choices");
  if (choices == nullptr || !choices->is_array() || choices->get_array().empty()) return nullptr;
  return choices->get_array().front().if_object();
}

json::Array* calls_in(Chunk& chunk) {
  json::Object* choice = first_choice(chunk);
  json::Value* delta = choice != nullptr ? choice->if_contains("delta") : nullptr;
  json::Value* calls = delta != nullptr && delta->is_object() ? delta->get_object().if_contains("tool_calls") : nullptr;
  return calls != nullptr ? calls->if_array() : nullptr;
}

bool finishes(Chunk& chunk) {
  json::Object* choice = first_choice(chunk);
  const json::Value* finish = choice != nullptr ? choice->if_contains("finish_reason") : nullptr;
  return finish != nullptr && finish->is_string();
}

// A chunk without choices in front: empty, null or absent.
void put_choiceless(std::vector<Chunk>& chunks, const Traits& traits) {
  if (chunks.empty()) return;
  Chunk chunk = chunks.front();
  chunk.value["choices"] = nullptr;
  if (traits.has(Trait::choices_empty)) chunk.value["choices"] = json::Array();
  if (traits.has(Trait::choices_absent)) chunk.value.erase("choices");
  chunks.insert(chunks.begin(), std::move(chunk));
}

std::string arguments_of(const json::Value& call) {
  const json::Value* function = json::find(call, "function");
  return function != nullptr ? std::string(json::string_or(*function, "arguments", "")) : std::string();
}

// The fragments of each call in one piece: a chunk for each call, or one for all.
void gather_calls(std::vector<Chunk>& chunks, bool together) {
  std::vector<Chunk> result;
  std::optional<std::size_t> latest;  // in result: where calls are gathered
  for (Chunk& chunk : chunks) {
    json::Array* calls = calls_in(chunk);
    if (calls == nullptr || calls->empty()) {
      result.push_back(std::move(chunk));
      continue;
    }
    json::Value& call = calls->front();
    bool begins = json::find(call, "id") != nullptr;
    if (!latest || (begins && !together)) {
      latest = result.size();
      result.push_back(std::move(chunk));
      continue;
    }
    json::Array& gathered = *calls_in(result[*latest]);
    if (begins) {
      gathered.push_back(std::move(call));
      continue;
    }
    json::Value& arguments = gathered.back().as_object()["function"].as_object()["arguments"];
    arguments = std::string(arguments.get_string()) + arguments_of(call);
  }
  chunks = std::move(result);
}

void move_usage(std::vector<Chunk>& chunks, const Traits& traits) {
  auto usage = std::ranges::find_if(chunks, [](Chunk& chunk) {
    const json::Value* value = chunk.value.if_contains("usage");
    return value != nullptr && value->is_object();
  });
  if (usage == chunks.end()) return;
  if (traits.has(Trait::usage_twice)) chunks.push_back(*usage);
  if (!traits.has(Trait::usage_on_finish)) return;
  json::Value counted = usage->value["usage"];
  chunks.erase(usage);
  for (Chunk& chunk : chunks) {
    if (finishes(chunk)) chunk.value["usage"] = counted;
  }
}

void change_finish(std::vector<Chunk>& chunks, const Traits& traits) {
  for (Chunk& chunk : chunks) {
    json::Object* choice = first_choice(chunk);
    if (choice == nullptr) continue;
    bool last = finishes(chunk);
    if (!last && traits.has(Trait::no_finish)) choice->erase("finish_reason");
    if (last && traits.has(Trait::calls_stop)) (*choice)["finish_reason"] = "stop";
  }
}

}  // namespace

std::vector<Frame> made_odd(std::vector<Frame> frames, const Traits& traits) {
  std::vector<Chunk> chunks;
  for (const Frame& frame : frames) {
    auto value = json::parse(frame.data);
    if (value && value->is_object()) chunks.push_back({std::move(value->get_object()), frame.token});
  }
  for (Trait trait : {Trait::choices_empty, Trait::choices_null, Trait::choices_absent}) {
    if (traits.has(trait)) put_choiceless(chunks, traits);
  }
  if (traits.has(Trait::calls_together) || traits.has(Trait::whole_arguments))
    gather_calls(chunks, traits.has(Trait::calls_together));
  move_usage(chunks, traits);
  change_finish(chunks, traits);
  std::vector<Frame> result;
  for (const Chunk& chunk : chunks)
    result.push_back({.name = {}, .data = json::dump(chunk.value), .token = chunk.token});
  if (!traits.has(Trait::no_done)) result.push_back({.name = {}, .data = std::string(kDone)});
  return result;
}

}  // namespace penstock::mock
