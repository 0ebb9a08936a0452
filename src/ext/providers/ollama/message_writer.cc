#include "ext/providers/ollama/message_writer.h"

#include "base/text.h"
#include "json/cursor.h"
#include "json/value.h"

namespace penstock::ext {
namespace {

using chat::Field;

std::string_view role_of(chat::Role role) {
  switch (role) {
    case chat::Role::system:
    case chat::Role::developer: return "system";
    case chat::Role::user: return "user";
    case chat::Role::assistant: return "assistant";
    case chat::Role::tool: return "tool";
  }
  return "user";
}

bool is_object(std::string_view text) {
  json::Cursor cursor(text);
  return cursor.peek() == json::Cursor::Kind::object && cursor.skip() && cursor.finish();
}

// What one of Ollama's messages is put together from. It has one text and a list of images.
class MessageWriter {
 public:
  MessageWriter(chat::Role role, chat::Dropped& dropped) : role_(role), dropped_(dropped) {}

  void operator()(const chat::Text& part) {
    if (!part.citations.empty()) dropped_.add(Field::citations);
    add_text(part.text);
  }
  void operator()(const chat::Refusal& part) { add_text(part.text); }
  void operator()(const chat::Thinking& part) {
    // The text goes on, seals and what is hidden have no place.
    if (part.redacted || !part.signature.empty()) dropped_.add(Field::thinking);
    if (!part.redacted) thinking_ += part.text;
  }
  void operator()(const chat::ToolCall& part) {
    if (!is_object(part.arguments)) bad_call_ = part.name;
    if (!part.signature.empty()) dropped_.add(Field::thinking);
    calls_ += calls_.empty() ? "{" : ",{";
    if (!part.id.empty()) {
      calls_ += "\"id\":";
      json::append_quoted(calls_, part.id);
      calls_ += ',';
    }
    calls_ += R"("function":{"name":)";
    json::append_quoted(calls_, part.name);
    base::append(calls_, ",\"arguments\":", part.arguments, "}}");
  }
  void operator()(const chat::ToolResult& part) {
    if (part.error) dropped_.add(Field::tool_result_error);
    tool_name_ = part.name;
    tool_call_id_ = part.id;
    is_result_ = true;
    for (const auto& piece : part.content) std::visit(*this, piece);
  }
  void operator()(const chat::Media& part);

  // Whether there is anything to be said.
  bool any() const { return texts_ > 0 || is_result_ || !images_.empty() || !thinking_.empty() || !calls_.empty(); }
  Result<void> write(std::string& out) const;

 private:
  // The texts of an answer are pieces of one; other people's are paragraphs.
  void add_text(std::string_view text) {
    if (text.empty()) return;
    if (texts_++ > 0 && role_ != chat::Role::assistant) content_ += '\n';
    content_ += text;
  }

  chat::Role role_;
  chat::Dropped& dropped_;
  std::string content_;
  int texts_ = 0;
  std::string thinking_;
  std::string images_;  // quoted, set off by commas; calls as well
  std::string calls_;
  std::string tool_name_;
  std::string tool_call_id_;
  bool is_result_ = false;
  std::optional<std::string> bad_call_;
};

void MessageWriter::operator()(const chat::Media& part) {
  using Kind = chat::Media::Kind;
  if (part.kind == Kind::document && part.type == "text/plain" && !part.data.empty()) return add_text(part.data);
  if (!part.file.empty()) return dropped_.add(Field::file);
  switch (part.kind) {
    case Kind::audio: return dropped_.add(Field::audio);
    case Kind::video: return dropped_.add(Field::video);
    case Kind::document: return dropped_.add(part.url.empty() ? Field::document : Field::document_url);
    case Kind::image: break;
  }
  if (part.data.empty()) return dropped_.add(Field::image_url);
  if (!part.detail.empty() && part.detail != "auto") dropped_.add(Field::image_detail);
  if (!images_.empty()) images_ += ',';
  json::append_quoted(images_, part.data);
}

Result<void> MessageWriter::write(std::string& out) const {
  if (bad_call_) {
    return fail(Errc::invalid_argument,
                fmt::format("the arguments of the call of the tool '{}' must be a JSON object", *bad_call_));
  }
  base::append(out, R"({"role":")", is_result_ ? "tool" : role_of(role_), R"(","content":)");
  json::append_quoted(out, content_);
  auto text = [&](std::string_view name, std::string_view value) {
    if (value.empty()) return;
    base::append(out, ",\"", name, "\":");
    json::append_quoted(out, value);
  };
  text("thinking", thinking_);
  if (!images_.empty()) base::append(out, ",\"images\":[", images_, "]");
  if (!calls_.empty()) base::append(out, ",\"tool_calls\":[", calls_, "]");
  text("tool_name", tool_name_);
  text("tool_call_id", tool_call_id_);
  out += '}';
  return {};
}

}  // namespace

Result<void> write_ollama_messages(const chat::Request& request, std::string& out, chat::Dropped& dropped) {
  std::size_t written = 0;
  auto write = [&](const MessageWriter& message) -> Result<void> {
    if (!message.any()) return {};
    if (written++ > 0) out += ',';
    return message.write(out);
  };
  for (const chat::Message& message : request.messages) {
    if (!message.name.empty()) dropped.add(Field::message_name);
    MessageWriter rest(message.role, dropped);
    for (const chat::Part& part : message.parts) {
      if (part.cache) dropped.add(Field::cache_control);
      const auto* result = std::get_if<chat::ToolResult>(&part.content);
      if (result == nullptr) {
        std::visit(rest, part.content);
        continue;
      }
      // Each result is a message of its own, before what else its sender has to say.
      MessageWriter own(chat::Role::tool, dropped);
      own(*result);
      if (auto done = write(own); !done) return done;
    }
    if (auto done = write(rest); !done) return done;
  }
  if (written == 0) return fail(Errc::invalid_argument, "messages: there is nothing in them that Ollama can be told");
  return {};
}

}  // namespace penstock::ext
