#include "ext/apis/anthropic/content_reader.h"

#include <algorithm>

#include "chat/signature.h"

namespace penstock::ext::anthropic {
namespace {

using chat::Media;
using chat::Part;
using chat::Text;
using json::Place;
using Parts = std::vector<Part>;
using Unread = std::vector<std::string>;

chat::Citation read_citation(const Place& place) {
  chat::Citation citation;
  std::string_view type = place.at("type").text();
  citation.quote = place.at("cited_text").text();
  if (type == "web_search_result_location") {
    citation.url = place.at("url").text();
    citation.title = place.at("title").text();
  } else if (type == "search_result_location") {
    citation.url = place.at("source").text();
    citation.title = place.at("title").text();
  } else {
    citation.title = place.at("document_title").text();
    citation.document = place.at("document_index").integer().value_or(-1);
  }
  return citation;
}

void read_text(const Place& block, Parts& parts, Unread& unread) {
  Text text;
  if (!block.at("text").present()) block.at("text").wrong("must be a string");
  text.text = block.at("text").text();
  // In tool results and documents the same field holds a switch.
  if (block.at("citations").is_array())
    block.at("citations").each([&](const Place& citation) { text.citations.push_back(read_citation(citation)); });
  block.list_others({"type", "text", "citations", "cache_control"}, unread);
  parts.push_back({.content = std::move(text)});
}

// {"type": "base64" | "url" | "file" | "text", ...}
void read_source(const Place& source, Media& media) {
  source.required_object();
  std::string_view type = source.at("type").required_text();
  if (type == "base64" || type == "text") {
    media.type = source.at("media_type").required_text();
    media.data = source.at("data").required_text();
  } else if (type == "url") {
    media.url = source.at("url").required_text();
  } else if (type == "file") {
    media.file = source.at("file_id").required_text();
  } else {
    source.at("type").wrong("must be base64, url, file, text or content");
  }
}

void read_image(const Place& block, Parts& parts, Unread& unread) {
  Media media;
  read_source(block.at("source"), media);
  block.list_others({"type", "source", "cache_control"}, unread);
  parts.push_back({.content = std::move(media)});
}

// A document made of blocks: one text, and its images behind it.
void read_content_source(const Place& content, Media& media, Parts& images, Unread& unread) {
  media.type = "text/plain";
  if (content.is_string()) {
    media.data = content.text();
    return;
  }
  content.each([&](const Place& block) {
    std::string_view type = block.at("type").required_text();
    if (type == "text") {
      if (!media.data.empty()) media.data += "\n";
      media.data += block.at("text").text();
    } else if (type == "image") {
      read_image(block, images, unread);
    } else {
      block.at("type").wrong("must be text or image");
    }
  });
}

void read_document(const Place& block, Parts& parts, Unread& unread) {
  Media media;
  media.kind = Media::Kind::document;
  media.name = block.at("title").text();
  Parts images;
  const Place source = block.at("source");
  if (source.is_object() && source.at("type").text() == "content") {
    read_content_source(source.at("content"), media, images, unread);
  } else {
    read_source(source, media);
  }
  // What the document is about is for the model to read, like a text before it.
  if (std::string_view context = block.at("context").text(); !context.empty())
    parts.push_back({.content = Text{std::string(context)}});
  if (block.at("citations").at("enabled").boolean().value_or(false)) unread.push_back(block.at("citations").path());
  block.list_others({"type", "source", "title", "context", "citations", "cache_control"}, unread);
  if (!media.data.empty() || !media.url.empty() || !media.file.empty()) parts.push_back({.content = std::move(media)});
  std::move(images.begin(), images.end(), std::back_inserter(parts));
}

void read_search_result(const Place& block, Parts& parts, Unread& unread) {
  std::string text(block.at("title").required_text());
  text += '\n';
  text += block.at("source").required_text();
  block.at("content").each([&](const Place& piece) {
    text += '\n';
    text += piece.at("text").required_text();
  });
  if (block.at("citations").at("enabled").boolean().value_or(false)) unread.push_back(block.at("citations").path());
  block.list_others({"type", "title", "source", "content", "citations", "cache_control"}, unread);
  parts.push_back({.content = Text{std::move(text)}});
}

// The seal of a call, which its writer put into a block of its own right before it. Only Gemini seals calls; a hidden
// thought of anybody else's stays one.
chat::Signature take_seal(Parts& parts) {
  auto* before = parts.empty() ? nullptr : std::get_if<chat::Thinking>(&parts.back().content);
  if (before == nullptr || !before->redacted || before->signature.family != chat::Family::gemini) return {};
  chat::Signature seal = std::move(before->signature);
  parts.pop_back();
  return seal;
}

void read_tool_use(const Place& block, Parts& parts, Unread& unread) {
  chat::ToolCall call;
  call.id = block.at("id").required_text();
  call.name = block.at("name").required_text();
  call.signature = take_seal(parts);
  const json::Value* input = block.at("input").required_object();
  call.arguments = input == nullptr ? "{}" : json::dump(*input);
  // The model itself, not a program of its own, made the call: that is what everybody else's calls are, too.
  if (json::Place caller = block.at("caller"); caller.present() && caller.at("type").text() != "direct")
    unread.push_back(caller.path());
  block.list_others({"type", "id", "name", "input", "caller", "cache_control"}, unread);
  parts.push_back({.content = std::move(call)});
}

void read_thinking(const Place& block, Parts& parts, Unread&) {
  chat::Thinking thinking;
  thinking.text = block.at("thinking").text();
  thinking.signature = chat::read_signature(block.at("signature").text(), chat::Family::anthropic);
  parts.push_back({.content = std::move(thinking)});
}

void read_redacted_thinking(const Place& block, Parts& parts, Unread&) {
  chat::Thinking thinking;
  thinking.signature = chat::read_signature(block.at("data").required_text(), chat::Family::anthropic);
  thinking.redacted = true;
  parts.push_back({.content = std::move(thinking)});
}

void read_tool_result(const Place& block, Parts& parts, Unread& unread);

struct BlockType {
  std::string_view name;
  void (*read)(const Place&, Parts&, Unread&);
  bool in_results;
};

constexpr BlockType kBlockTypes[] = {
    {"text", read_text, true},          {"image", read_image, true},
    {"document", read_document, true},  {"search_result", read_search_result, true},
    {"tool_use", read_tool_use, false}, {"tool_result", read_tool_result, false},
    {"thinking", read_thinking, false}, {"redacted_thinking", read_redacted_thinking, false},
};

// Blocks of other types are what only Anthropic's servers make and read.
void read_block(const Place& block, Parts& parts, Unread& unread, bool in_result) {
  if (block.required_object() == nullptr) return;
  std::string_view type = block.at("type").required_text();
  auto found = std::find_if(std::begin(kBlockTypes), std::end(kBlockTypes),
                            [&](const BlockType& each) { return each.name == type; });
  if (found == std::end(kBlockTypes)) {
    if (!type.empty()) unread.push_back(block.path());
    return;
  }
  if (in_result && !found->in_results) return block.at("type").wrong("is no type of a block in a tool result");
  std::size_t before = parts.size();
  found->read(block, parts, unread);
  if (parts.size() > before) parts.back().cache = read_cache_control(block);
}

// A string, or a list of blocks.
Parts read_content(const Place& content, Unread& unread, bool in_result) {
  Parts parts;
  if (content.is_string()) {
    if (!content.text().empty()) parts.push_back({.content = Text{std::string(content.text())}});
  } else if (content.present() && !content.is_array()) {
    content.wrong("must be a string or a list of blocks");
  } else {
    content.each([&](const Place& block) { read_block(block, parts, unread, in_result); });
  }
  return parts;
}

void read_tool_result(const Place& block, Parts& parts, Unread& unread) {
  chat::ToolResult result;
  result.id = block.at("tool_use_id").required_text();
  result.error = block.at("is_error").boolean().value_or(false);
  for (Part& part : read_content(block.at("content"), unread, true)) {
    if (auto* text = std::get_if<Text>(&part.content)) result.content.emplace_back(std::move(*text));
    if (auto* media = std::get_if<Media>(&part.content)) result.content.emplace_back(std::move(*media));
  }
  block.list_others({"type", "tool_use_id", "is_error", "content", "cache_control"}, unread);
  parts.push_back({.content = std::move(result)});
}

bool is_result(const Part& part) { return std::holds_alternative<chat::ToolResult>(part.content); }
bool is_models(const Part& part) {
  return std::holds_alternative<chat::ToolCall>(part.content) || std::holds_alternative<chat::Thinking>(part.content);
}

// Results become messages of the tool's; what stands around them stays the user's.
void split_user(Parts parts, std::vector<chat::Message>& messages) {
  for (Part& part : parts) {
    chat::Role role = is_result(part) ? chat::Role::tool : chat::Role::user;
    bool fresh = &part == parts.data();
    if (fresh || messages.back().role != role) messages.push_back({.role = role});
    messages.back().parts.push_back(std::move(part));
  }
}

}  // namespace

std::optional<std::string> read_cache_control(const Place& place) {
  const Place control = place.at("cache_control");
  if (!control.present() || control.required_object() == nullptr) return std::nullopt;
  std::string_view ttl = control.at("ttl").text();
  if (!ttl.empty() && ttl != "5m" && ttl != "1h") control.at("ttl").wrong("must be 5m or 1h");
  return ttl.empty() ? "5m" : std::string(ttl);
}

Parts read_instructions(const Place& content, Unread& unread) {
  Parts parts = read_content(content, unread, false);
  bool texts = std::all_of(parts.begin(), parts.end(),
                           [](const Part& part) { return std::holds_alternative<Text>(part.content); });
  if (!texts) content.wrong("must be a string or a list of text blocks");
  return parts;
}

void read_message(const Place& message, std::vector<chat::Message>& messages, Unread& unread) {
  if (message.required_object() == nullptr) return;
  message.list_others({"role", "content"}, unread);
  std::string_view role = message.at("role").required_text();
  const Place content = message.at("content");
  if (!content.present()) return content.wrong("must be a string or a list of blocks");
  if (role == "system") {
    messages.push_back({.role = chat::Role::system, .parts = read_instructions(content, unread)});
    return;
  }
  Parts parts = read_content(content, unread, false);
  if (role == "assistant") {
    if (std::any_of(parts.begin(), parts.end(), is_result))
      return content.wrong("must not hold tool_result blocks: they are the user's");
    messages.push_back({.role = chat::Role::assistant, .parts = std::move(parts)});
  } else if (role == "user") {
    if (std::any_of(parts.begin(), parts.end(), is_models))
      return content.wrong("must not hold tool_use or thinking blocks: they are the assistant's");
    split_user(std::move(parts), messages);
  } else {
    message.at("role").wrong("must be user, assistant or system");
  }
}

}  // namespace penstock::ext::anthropic
