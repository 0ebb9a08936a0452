#include "ext/apis/openai/kept_responses.h"

#include "json/value.h"
#include "json/writer.h"

namespace penstock::ext {
namespace {

constexpr std::size_t kEarlierBytesMax = 32U << 20;
constexpr std::size_t kEarlierMax = 1000;

// The elements of a list, without its brackets.
std::string_view elements_of(std::string_view list) {
  return list.size() < 2 ? std::string_view() : list.substr(1, list.size() - 2);
}

void add_elements(std::string& all, std::string_view elements) {
  if (!all.empty() && !elements.empty()) all += ',';
  all += elements;
}

std::string output_of(const store::StoredResponse& response) {
  auto body = json::parse(response.body);
  const json::Value* output = body ? json::find(*body, "output") : nullptr;
  return output == nullptr ? "[]" : json::dump(*output);
}

// Text alone is the short form of a part.
void complete_content(json::Object& item) {
  json::Value* content = item.if_contains("content");
  if (content == nullptr || !content->is_string()) return;
  json::Object part{{"type", "input_text"}, {"text", *content}};
  const json::Value* role = item.if_contains("role");
  if (role != nullptr && role->is_string() && role->get_string() == "assistant") {
    part["type"] = "output_text";
    part["annotations"] = json::Array();
  }
  item["content"] = json::Array{std::move(part)};
}

std::string_view prefix_of(std::string_view type) {
  if (type == "message") return "msg";
  if (type == "reasoning") return "rs";
  if (type == "function_call") return "fc";
  return type == "function_call_output" ? "fco" : "item";
}

void complete(json::Object& item, std::string_view seed, std::size_t index) {
  if (!item.contains("type")) item["type"] = "message";
  const auto* said = item["type"].if_string();
  std::string type(said == nullptr ? std::string_view() : std::string_view(*said));
  if (type == "message") {
    complete_content(item);
    item.emplace("status", "completed");
  }
  if (!item.contains("id") || !item["id"].is_string())
    item["id"] = fmt::format("{}_{}_i{}", prefix_of(type), seed, index);
}

bool is_reference(const json::Value& item) {
  std::string_view type = json::string_or(item, "type", "");
  return type == "item_reference" || (type.empty() && json::find(item, "role") == nullptr);
}

// Ids made here have the response's between the kind and the place: msg_RESPONSE_2.
std::string response_of(std::string_view item_id) {
  std::size_t first = item_id.find('_');
  std::size_t last = item_id.rfind('_');
  if (first == std::string_view::npos || first >= last) return {};
  return fmt::format("resp_{}", item_id.substr(first + 1, last - first - 1));
}

Result<std::optional<json::Value>> find_item(store::State& state, std::string_view id, const ResponseOwner& owner) {
  auto kept = state.response(response_of(id), owner.key, owner.unused_since);
  if (!kept) return std::unexpected(kept.error());
  if (!*kept) return std::nullopt;
  for (const std::string& list : {(*kept)->input, output_of(**kept)}) {
    auto items = json::parse(list);
    if (!items || !items->is_array()) continue;
    for (const json::Value& item : items->get_array()) {
      if (json::string_or(item, "id", "") == id) return item;
    }
  }
  return std::nullopt;
}

}  // namespace

Result<Earlier> read_earlier(store::State& state, const std::string& id, const ResponseOwner& owner) {
  std::vector<std::string> pieces;  // the last response first
  std::size_t bytes = 0;
  for (std::string next = id; !next.empty();) {
    auto kept = state.response(next, owner.key, owner.unused_since);
    if (!kept) return std::unexpected(kept.error());
    if (!*kept) {
      return fail(Errc::not_found, pieces.empty() ? fmt::format("no response '{}' is kept here", id.substr(0, 100))
                                                  : "a response before that one is not kept any more");
    }
    if (!(*kept)->provider.empty()) return Earlier{(*kept)->provider, {}};
    std::string piece(elements_of((*kept)->input));
    std::string output = output_of(**kept);
    add_elements(piece, elements_of(output));
    bytes += piece.size();
    pieces.push_back(std::move(piece));
    if (bytes > kEarlierBytesMax || pieces.size() > kEarlierMax)
      return fail(Errc::out_of_range,
                  "the conversation before this call is too long: 32 MiB and 1,000 responses at most");
    next = (*kept)->previous;
  }
  Earlier earlier;
  earlier.items.reserve(bytes + pieces.size());
  for (auto piece = pieces.rbegin(); piece != pieces.rend(); ++piece) add_elements(earlier.items, *piece);
  return earlier;
}

Result<std::string> kept_input(std::string_view input, std::string_view response_id) {
  auto value = json::parse(input);
  if (!value) return std::unexpected(value.error());
  json::Array items;
  if (value->is_array()) {
    items = std::move(value->get_array());
  } else {
    items.push_back(json::Object{{"role", "user"}, {"content", std::move(*value)}});
  }
  std::string_view seed = response_id.substr(response_id.find('_') + 1);
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (items[i].is_object()) complete(items[i].get_object(), seed, i);
  }
  return json::dump(json::Value(std::move(items)));
}

Result<std::string> resolve_references(store::State& state, const std::string& input, const ResponseOwner& owner) {
  auto items = json::parse(input);
  if (!items) return std::unexpected(items.error());
  if (!items->is_array()) return input;
  bool changed = false;
  for (json::Value& item : items->get_array()) {
    if (!is_reference(item)) continue;
    auto found = find_item(state, json::string_or(item, "id", ""), owner);
    if (!found) return std::unexpected(found.error());
    if (!*found) continue;
    item = std::move(**found);
    changed = true;
  }
  return changed ? json::dump(*items) : input;
}

Result<std::string> list_input_items(store::State& state, const std::string& id, const ResponseOwner& owner,
                                     const ItemPage& page) {
  auto kept = state.response(id, owner.key, owner.unused_since);
  if (!kept) return std::unexpected(kept.error());
  if (!*kept) return fail(Errc::not_found, fmt::format("no response '{}' is kept here", id.substr(0, 100)));
  auto earlier = read_earlier(state, (*kept)->previous, owner);
  if (!earlier) return std::unexpected(earlier.error());
  add_elements(earlier->items, elements_of((*kept)->input));
  auto all = json::parse("[" + earlier->items + "]");
  if (!all) return std::unexpected(all.error());
  json::Array& items = all->get_array();
  if (!page.ascending) std::reverse(items.begin(), items.end());
  auto id_of = [](const json::Value& item) { return json::string_or(item, "id", ""); };
  std::size_t from = 0;
  if (!page.after.empty()) {
    auto found = std::find_if(items.begin(), items.end(), [&](const auto& item) { return id_of(item) == page.after; });
    if (found == items.end())
      return fail(Errc::invalid_argument, fmt::format("after: there is no item '{}'", page.after.substr(0, 100)));
    from = static_cast<std::size_t>(found - items.begin()) + 1;
  }
  std::size_t to = std::min(items.size(), from + static_cast<std::size_t>(page.limit));
  std::string text;
  json::Writer out(text);
  out.open_object().member("object", "list").key("data").open_array();
  for (std::size_t i = from; i < to; ++i) out.value(items[i]);
  out.close_array();
  auto edge = [&](std::string_view name, std::size_t index) {
    out.key(name);
    from < to ? out.string(id_of(items[index])) : out.null();
  };
  edge("first_id", from);
  edge("last_id", to - 1);
  out.member("has_more", to < items.size()).close_object();
  return text;
}

}  // namespace penstock::ext
