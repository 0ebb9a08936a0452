#include "ext/providers/openai/message_writer.h"

#include "chat/data_url.h"

namespace penstock::ext {
namespace {

using chat::Field;
using chat::Role;
using Kind = chat::Media::Kind;

std::string_view role_name(Role role, bool plain) {
  switch (role) {
    case Role::system: return "system";
    case Role::developer: return plain ? "system" : "developer";
    case Role::assistant: return "assistant";
    default: return "user";
  }
}

Field field_of(Kind kind) {
  switch (kind) {
    case Kind::image: return Field::image;
    case Kind::audio: return Field::audio;
    case Kind::video: return Field::video;
    case Kind::document: return Field::document;
  }
  return Field::document;
}

// OpenAI's word for the only two formats of sound it takes.
std::string_view audio_format(const chat::Media& audio) {
  std::string_view type = audio.type.empty() ? chat::sniff_media_type(audio.data) : std::string_view(audio.type);
  if (type == "audio/wav" || type == "audio/x-wav" || type == "audio/wave") return "wav";
  return type == "audio/mpeg" || type == "audio/mp3" ? "mp3" : "";
}

// Why a user's message cannot have it.
std::optional<Field> obstacle_to(const chat::Media& media) {
  if (media.kind == Kind::video) return Field::video;
  if (media.kind == Kind::audio && (media.data.empty() || audio_format(media).empty())) return Field::audio;
  // Whose file it is nobody knows here.
  if (!media.file.empty()) return Field::file;
  if (media.kind == Kind::document && !media.url.empty()) return Field::document_url;
  return std::nullopt;
}

class MessageWriter {
 public:
  MessageWriter(bool plain_roles, chat::Dropped& dropped, json::Writer& out)
      : plain_roles_(plain_roles), dropped_(dropped), out_(out) {}

  // `index`: which message it is.
  void write(const chat::Message& message, std::size_t index) {
    index_ = index;
    bool only_results = !message.parts.empty();
    for (const chat::Part& part : message.parts) {
      if (part.cache) dropped_.add(Field::cache_control);
      if (const auto* result = std::get_if<chat::ToolResult>(&part.content)) {
        tool_message(*result);
      } else {
        only_results = false;
      }
    }
    if (only_results || message.role == Role::tool) return;
    if (message.role != Role::assistant && !remains(message.parts)) return;
    flush_media();
    out_.open_object().member("role", role_name(message.role, plain_roles_));
    if (message.role == Role::assistant) {
      assistant(message);
    } else {
      out_.key("content");
      content(message.parts);
    }
    if (!message.name.empty()) out_.member("name", message.name);
    out_.close_object();
  }

  const std::optional<Error>& mistake() const { return mistake_; }

  // The media of tool results wait until all results stand: nothing may come between these.
  void flush_media() {
    if (waiting_.empty()) return;
    out_.open_object().member("role", "user").key("content").open_array();
    const chat::ToolResult* before = nullptr;
    for (const auto& [result, media] : waiting_) {
      if (result != before) text_part(fmt::format("Media of the tool result {}:", result->id));
      before = result;
      media_part(*media);
    }
    out_.close_array().close_object();
    waiting_.clear();
  }

 private:
  void text_part(std::string_view text) {
    out_.open_object().member("type", "text").member("text", text).close_object();
  }

  // All that is text, as one string when it is one piece.
  void texts(const std::vector<std::string_view>& pieces) {
    if (pieces.size() <= 1) {
      out_.string(pieces.empty() ? std::string_view() : pieces.front());
      return;
    }
    out_.open_array();
    for (std::string_view piece : pieces) text_part(piece);
    out_.close_array();
  }

  std::string_view text_of(const chat::Text& text) {
    if (!text.citations.empty()) dropped_.add(Field::citations);
    return text.text;
  }

  void tool_message(const chat::ToolResult& result) {
    std::vector<std::string_view> pieces;
    bool media = false;
    for (const auto& item : result.content) {
      if (const auto* text = std::get_if<chat::Text>(&item)) {
        if (!text->text.empty()) pieces.push_back(text_of(*text));
      } else if (const auto& medium = std::get<chat::Media>(item); carries(medium)) {
        waiting_.emplace_back(&result, &medium);
        media = true;
      }
    }
    if (media && pieces.empty()) pieces.push_back("The result is in the next message of the user.");
    if (result.error) dropped_.add(Field::tool_result_error);
    out_.open_object().member("role", "tool").member("tool_call_id", result.id).key("content");
    texts(pieces);
    out_.close_object();
  }

  bool carries(const chat::Media& media) {
    auto obstacle = obstacle_to(media);
    if (obstacle) dropped_.add(*obstacle);
    return !obstacle;
  }

  // False when all it had beside results is lost. A message that says nothing of what it said is not what its sender
  // meant.
  bool remains(const std::vector<chat::Part>& parts) {
    std::optional<Field> lost;
    bool results = false;
    for (const chat::Part& part : parts) {
      results = results || std::holds_alternative<chat::ToolResult>(part.content);
      const auto* text = std::get_if<chat::Text>(&part.content);
      if (text != nullptr && !text->text.empty()) return true;
      const auto* media = std::get_if<chat::Media>(&part.content);
      if (media == nullptr) continue;
      auto obstacle = obstacle_to(*media);
      if (!obstacle) return true;
      dropped_.add(*obstacle);
      if (!lost) lost = obstacle;
    }
    if (lost && !results && !mistake_) {
      mistake_ = Error{Errc::invalid_argument,
                       fmt::format("messages[{}].content: the provider can be told nothing of it: it takes no such {}",
                                   index_, chat::to_string(*lost))};
    }
    return !lost;
  }

  // One piece of text goes as a string, which every server takes.
  void content(const std::vector<chat::Part>& parts) {
    std::size_t count = 0;
    const chat::Text* only = nullptr;
    for (const chat::Part& part : parts) {
      const auto* text = std::get_if<chat::Text>(&part.content);
      if (std::holds_alternative<chat::ToolResult>(part.content) || (text != nullptr && text->text.empty())) continue;
      ++count;
      only = text;
    }
    if (count == 0 || (count == 1 && only != nullptr)) {
      out_.string(count == 0 ? std::string_view() : text_of(*only));
      return;
    }
    out_.open_array();
    for (const chat::Part& part : parts) {
      if (const auto* text = std::get_if<chat::Text>(&part.content)) {
        if (!text->text.empty()) text_part(text_of(*text));
      } else if (const auto* media = std::get_if<chat::Media>(&part.content)) {
        if (carries(*media)) media_part(*media);
      } else if (std::holds_alternative<chat::Thinking>(part.content)) {
        dropped_.add(Field::thinking);
      }
    }
    out_.close_array();
  }

  void media_part(const chat::Media& media) {
    switch (media.kind) {
      case Kind::image: return image_part(media);
      case Kind::audio: return audio_part(media);
      case Kind::document: return document_part(media);
      case Kind::video: return;
    }
  }

  void image_part(const chat::Media& image) {
    out_.open_object().member("type", "image_url").key("image_url").open_object();
    if (image.url.empty()) {
      std::string_view type = image.type.empty() ? chat::sniff_media_type(image.data) : image.type;
      out_.member("url", chat::write_data_url(type, image.data));
    } else {
      out_.member("url", image.url);
    }
    if (!image.detail.empty()) out_.member("detail", image.detail);
    out_.close_object().close_object();
  }

  void audio_part(const chat::Media& audio) {
    out_.open_object().member("type", "input_audio").key("input_audio").open_object();
    out_.member("data", audio.data).member("format", audio_format(audio)).close_object().close_object();
  }

  void document_part(const chat::Media& document) {
    // Files that are text are no files to OpenAI, but what they say can be said.
    if (document.type == "text/plain") {
      text_part(document.name.empty() ? document.data : fmt::format("{}\n\n{}", document.name, document.data));
      return;
    }
    std::string_view type = document.type.empty() ? "application/pdf" : std::string_view(document.type);
    out_.open_object().member("type", "file").key("file").open_object();
    out_.member("filename", document.name.empty() ? "document.pdf" : std::string_view(document.name));
    out_.member("file_data", chat::write_data_url(type, document.data)).close_object().close_object();
  }

  void assistant(const chat::Message& message) {
    std::vector<std::string_view> pieces;
    std::vector<const chat::ToolCall*> calls;
    std::string refusal;
    for (const chat::Part& part : message.parts) {
      if (const auto* text = std::get_if<chat::Text>(&part.content)) {
        if (!text->text.empty()) pieces.push_back(text_of(*text));
      } else if (const auto* call = std::get_if<chat::ToolCall>(&part.content)) {
        calls.push_back(call);
        if (!call->signature.empty()) dropped_.add(Field::thinking);
      } else if (const auto* declined = std::get_if<chat::Refusal>(&part.content)) {
        refusal += declined->text;
      } else if (const auto* media = std::get_if<chat::Media>(&part.content)) {
        dropped_.add(field_of(media->kind));
      } else if (std::holds_alternative<chat::Thinking>(part.content)) {
        dropped_.add(Field::thinking);
      }
    }
    out_.key("content");
    if (pieces.empty() && (!calls.empty() || !refusal.empty())) {
      out_.null();
    } else {
      texts(pieces);
    }
    if (!refusal.empty()) out_.member("refusal", refusal);
    if (!calls.empty()) write_calls(calls);
  }

  void write_calls(const std::vector<const chat::ToolCall*>& calls) {
    out_.key("tool_calls").open_array();
    for (const chat::ToolCall* call : calls) {
      out_.open_object().member("id", call->id).member("type", "function").key("function").open_object();
      out_.member("name", call->name).member("arguments", call->arguments).close_object().close_object();
    }
    out_.close_array();
  }

  bool plain_roles_;
  chat::Dropped& dropped_;
  json::Writer& out_;
  std::size_t index_ = 0;
  std::optional<Error> mistake_;
  std::vector<std::pair<const chat::ToolResult*, const chat::Media*>> waiting_;
};

}  // namespace

Result<void> write_openai_messages(const std::vector<chat::Message>& messages, bool plain_roles, chat::Dropped& dropped,
                                   json::Writer& out) {
  out.open_array();
  MessageWriter writer(plain_roles, dropped, out);
  for (std::size_t i = 0; i < messages.size(); ++i) writer.write(messages[i], i);
  writer.flush_media();
  out.close_array();
  if (writer.mistake()) return std::unexpected(*writer.mistake());
  return {};
}

}  // namespace penstock::ext
