#include "ext/apis/gemini/contents_reader.h"

#include <algorithm>
#include <array>

#include "chat/base64.h"
#include "chat/data_url.h"
#include "ext/apis/gemini/seal.h"

namespace penstock::ext {
namespace {

using chat::Media;

Media::Kind kind_of(std::string_view type) {
  if (type.starts_with("image/")) return Media::Kind::image;
  if (type.starts_with("audio/")) return Media::Kind::audio;
  return type.starts_with("video/") ? Media::Kind::video : Media::Kind::document;
}

Media inline_media(Members data) {
  Media media;
  media.type = data.text("mimeType");
  media.data = chat::standard_base64(data.text("data"));
  media.name = data.text("displayName");
  if (!data.empty() && media.type.empty()) media.type = chat::sniff_media_type(media.data);
  media.kind = kind_of(media.type);
  if (!chat::read_base64(media.data)) data.wrong("data", "must be base64");
  if (media.data.empty()) data.wrong("data", "is missing");
  if (media.type == "text/plain") {
    media.data = chat::read_base64(media.data).value_or("");
    if (!json::is_valid_utf8(media.data)) data.wrong("data", "must be text in UTF-8, or mimeType name what it is");
  }
  data.done();
  return media;
}

Media file_media(Members file) {
  Media media;
  std::string uri = file.text("fileUri");
  media.type = file.text("mimeType");
  media.name = file.text("displayName");
  std::string_view named = chat::media_type_of_name(uri);
  bool video = uri.starts_with("https://www.youtube.com/") || uri.starts_with("https://youtu.be/");
  media.kind = video ? Media::Kind::video : kind_of(media.type.empty() ? named : std::string_view(media.type));
  if (media.type == named) media.type.clear();  // says no more than the name
  bool everywhere = uri.starts_with("https://") || uri.starts_with("http://");
  if (uri.find("://generativelanguage.googleapis.com/") != std::string::npos) everywhere = false;
  (everywhere ? media.url : media.file) = uri;
  if (uri.empty()) file.wrong("fileUri", "is missing");
  file.done();
  return media;
}

// A result that is one text is that text; {"error": ...} is a failure; anything else is told as JSON.
void read_response(const json::Value* response, chat::ToolResult& result) {
  if (response == nullptr) return;
  const json::Object& members = response->get_object();
  if (members.empty()) return;
  const auto& first = *members.begin();
  bool alone = members.size() == 1;
  result.error = alone && first.key() == "error";
  bool wrapped = alone && (result.error || first.key() == "result" || first.key() == "output");
  const json::Value& told = wrapped ? first.value() : *response;
  result.content.push_back(chat::Text{wrapped && told.is_string() ? std::string(told.get_string()) : json::dump(told)});
}

chat::ToolResult tool_result(Reading& reading, Members from) {
  chat::ToolResult result;
  result.id = from.text("id");
  result.name = from.text("name");
  if (result.name.empty()) from.wrong("name", "is missing");
  const json::Value* response = from.take("response");
  if (response != nullptr && !response->is_object()) {
    from.wrong("response", "must be an object");
    response = nullptr;
  }
  read_response(response, result);
  for (const auto& [value, path] : from.list("parts")) {
    Members part(reading, value, path);
    if (Members data = part.object("inlineData"); !data.empty())
      result.content.push_back(inline_media(std::move(data)));
    if (Members file = part.object("fileData"); !file.empty()) result.content.push_back(file_media(std::move(file)));
    part.done();
  }
  from.done();
  return result;
}

chat::ToolCall tool_call(Members from, chat::Signature signature) {
  chat::ToolCall call;
  call.id = from.text("id");
  call.name = from.text("name");
  if (call.name.empty()) from.wrong("name", "is missing");
  const json::Value* args = from.take("args");
  if (args != nullptr && !args->is_object()) from.wrong("args", "must be an object");
  call.arguments = args != nullptr ? json::dump(*args) : "{}";
  call.signature = std::move(signature);
  from.done();
  return call;
}

// A stream tells a thought in many parts and seals it in the last.
void add_thought(std::string text, Seal seal, std::vector<chat::Part>& parts) {
  auto* last = parts.empty() ? nullptr : std::get_if<chat::Thinking>(&parts.back().content);
  if (last != nullptr && last->signature.empty() && !seal.redacted) {
    last->text += text;
    last->signature = std::move(seal.signature);
    return;
  }
  if (text.empty() && seal.signature.empty()) return;
  parts.push_back({.content = chat::Thinking{std::move(text), std::move(seal.signature), seal.redacted}});
}

// A seal that stands in no thought.
void add_seal(Seal seal, std::vector<chat::Part>& parts) {
  bool redacted = seal.redacted || seal.signature.family == chat::Family::gemini;
  parts.push_back({.content = chat::Thinking{{}, std::move(seal.signature), redacted}});
}

void add_text(std::string text, std::vector<chat::Part>& parts) {
  if (!text.empty()) parts.push_back({.content = chat::Text{std::move(text)}});
}

class ContentReader {
 public:
  ContentReader(Reading& reading, chat::Role role, std::vector<chat::Message>& messages)
      : reading_(reading), role_(role), messages_(messages) {}

  void part(const json::Value* value, const std::string& path) {
    Members members(reading_, value, path);
    bool thought = members.boolean("thought").value_or(false);
    Seal seal = read_seal(members.text("thoughtSignature"));
    std::size_t kinds = 0;
    bool has_text = members.take("text") != nullptr;
    std::string text = members.text("text");
    if (has_text || (thought && !seal.signature.empty())) {
      ++kinds;
      say(std::move(text), thought, std::exchange(seal, {}));
    }
    kinds += add("inlineData", members, [](Members from) { return inline_media(std::move(from)); });
    kinds += add("fileData", members, [](Members from) { return file_media(std::move(from)); });
    kinds += add("functionCall", members,
                 [&](Members from) { return tool_call(std::move(from), std::exchange(seal, {}).signature); });
    kinds += add("functionResponse", members, [&](Members from) { return tool_result(reading_, std::move(from)); });
    // What only Google's servers run.
    for (std::string_view name : {"executableCode", "codeExecutionResult", "toolCall", "toolResponse"}) {
      if (members.take(name) == nullptr) continue;
      members.unread(name);
      ++kinds;
    }
    members.done();
    bool sealed = !seal.signature.empty();
    if (sealed) add_seal(std::move(seal), parts(role_));
    if (kinds != 1 && !(kinds == 0 && sealed))
      reading_.wrong(path, "must have exactly one of text, inlineData, fileData, functionCall and functionResponse");
  }

 private:
  std::vector<chat::Part>& parts(chat::Role role) {
    if (messages_.size() == begin_ || messages_.back().role != role) messages_.push_back({.role = role});
    return messages_.back().parts;
  }

  void say(std::string text, bool thought, Seal seal) {
    auto& to = parts(role_);
    if (thought) {
      add_thought(std::move(text), std::move(seal), to);
      return;
    }
    add_text(std::move(text), to);
    if (!seal.signature.empty()) add_seal(std::move(seal), to);
  }

  template <class Read>
  std::size_t add(std::string_view name, Members& members, Read read) {
    const json::Value* value = members.take(name);
    if (value == nullptr) return 0;
    auto made = read(Members(reading_, value, members.at(name)));
    constexpr bool kResult = std::is_same_v<decltype(made), chat::ToolResult>;
    constexpr bool kCall = std::is_same_v<decltype(made), chat::ToolCall>;
    if (kCall && role_ != chat::Role::assistant)
      reading_.wrong(members.at(name), "stands in a content of role 'model'");
    parts(kResult ? chat::Role::tool : role_).push_back({.content = std::move(made)});
    return 1;
  }

  Reading& reading_;
  chat::Role role_;
  std::vector<chat::Message>& messages_;
  std::size_t begin_ = messages_.size();
};

}  // namespace

void read_content(Reading& reading, const json::Value& content, const std::string& path,
                  std::vector<chat::Message>& messages) {
  Members members(reading, &content, path);
  std::string role = members.text("role");
  constexpr auto kUsers = std::to_array<std::string_view>({"", "user", "function", "tool"});
  bool user = std::ranges::find(kUsers, role) != kUsers.end();
  if (!user && role != "model") members.wrong("role", "must be 'user' or 'model'");
  ContentReader reader(reading, user ? chat::Role::user : chat::Role::assistant, messages);
  for (const auto& [value, at] : members.list("parts")) reader.part(value, at);
  members.done();
}

void read_instruction(Reading& reading, const json::Value& instruction, const std::string& path,
                      std::vector<chat::Message>& messages) {
  chat::Message message{.role = chat::Role::system};
  if (const auto* text = instruction.if_string()) {
    add_text(std::string(*text), message.parts);
  } else {
    Members members(reading, &instruction, path);
    (void)members.text("role");  // means nothing here
    for (const auto& [value, at] : members.list("parts")) {
      Members part(reading, value, at);
      add_text(part.text("text"), message.parts);
      part.done();
    }
    members.done();
  }
  if (!message.parts.empty()) messages.push_back(std::move(message));
}

}  // namespace penstock::ext
