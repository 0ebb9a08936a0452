#include "ext/apis/openai/kept_responses.h"

#include <map>

#include "json/value.h"
#include "json/writer.h"

namespace penstock::ext {
namespace {

constexpr std::size_t kEarlierMax = 1000;
constexpr std::size_t kReferencesMax = 256;
// Of rows for one call, also where little of them is wanted: what takes the store's thread a second or so.
constexpr std::size_t kReadBytesMax = 128U << 20;

std::unexpected<Error> too_long(std::string_view what) {
  return fail(Errc::out_of_range,
              fmt::format("{} too long: the call may have 32 MiB with all it goes on from, of 1,000 responses", what));
}

std::size_t size_of(const store::StoredResponse& response) { return response.input.size() + response.body.size(); }

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
  if (!item.is_object()) return false;
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

// The texts of items by their ids; empty: none was found.
using Items = std::map<std::string, std::string, std::less<>>;

void find_items(const store::StoredResponse& kept, Items& wanted) {
  for (const std::string& list : {kept.input, output_of(kept)}) {
    auto items = json::parse(list);
    if (!items || !items->is_array()) continue;
    for (const json::Value& item : items->get_array()) {
      auto found = wanted.find(json::string_or(item, "id", ""));
      if (found != wanted.end() && found->second.empty()) found->second = json::dump(item);
    }
  }
}

// The items that references mean, by their responses: each of these is read once.
using ItemsOfResponses = std::map<std::string, Items>;

Result<ItemsOfResponses> wanted_items(const json::Array& items) {
  ItemsOfResponses wanted;
  std::size_t references = 0;
  for (const json::Value& item : items) {
    if (!is_reference(item)) continue;
    if (++references > kReferencesMax)
      return fail(Errc::invalid_argument, fmt::format("input: at most {} items may be references", kReferencesMax));
    std::string id(json::string_or(item, "id", ""));
    wanted[response_of(id)].try_emplace(id);
  }
  return wanted;
}

Result<std::string> with_items(const json::Array& items, const ItemsOfResponses& found) {
  std::string text = "[";
  for (const json::Value& item : items) {
    if (text.size() > 1) text += ',';
    std::string id(is_reference(item) ? json::string_or(item, "id", "") : "");
    auto response = found.find(response_of(id));
    auto meant = response == found.end() ? Items::const_iterator() : response->second.find(id);
    bool known = response != found.end() && meant != response->second.end() && !meant->second.empty();
    text += known ? meant->second : json::dump(item);
    if (text.size() > kContextBytesMax) return too_long("the input with the items it refers to is");
  }
  return text + "]";
}

}  // namespace

Result<Earlier> read_earlier(store::State& state, const std::string& id, const ResponseOwner& owner, std::size_t room) {
  std::vector<std::string> pieces;  // the last response first
  std::size_t bytes = 0;
  std::size_t read = 0;
  for (std::string next = id; !next.empty();) {
    auto kept = state.response(next, owner.key, owner.unused_since);
    if (!kept) return std::unexpected(kept.error());
    if (!*kept) {
      return fail(Errc::not_found, pieces.empty() ? fmt::format("no response '{}' is kept here", id.substr(0, 100))
                                                  : "a response before that one is not kept any more");
    }
    if (!(*kept)->provider.empty()) return Earlier{(*kept)->provider, {}};
    read += size_of(**kept);
    if (read > kReadBytesMax) return too_long("the conversation before this call is");
    std::string piece(elements_of((*kept)->input));
    std::string output = output_of(**kept);
    add_elements(piece, elements_of(output));
    bytes += piece.size();
    pieces.push_back(std::move(piece));
    if (bytes > room || pieces.size() > kEarlierMax) return too_long("the conversation before this call is");
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
  auto wanted = wanted_items(items->get_array());
  if (!wanted) return std::unexpected(wanted.error());
  if (wanted->empty()) return input;
  std::size_t read = 0;
  for (auto& [id, ids] : *wanted) {
    auto kept = state.response(id, owner.key, owner.unused_since);
    if (!kept) return std::unexpected(kept.error());
    if (!*kept) continue;
    read += size_of(**kept);
    if (read > kReadBytesMax) return too_long("the responses that the input refers to are");
    find_items(**kept, ids);
  }
  return with_items(items->get_array(), *wanted);
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
