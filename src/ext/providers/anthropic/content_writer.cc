#include "ext/providers/anthropic/content_writer.h"

#include <algorithm>
#include <array>

#include "json/object_writer.h"

namespace penstock::ext::anthropic {
namespace {

using chat::Dropped;
using chat::Field;
using chat::Media;
using chat::Part;
using chat::Text;
using json::ObjectWriter;

constexpr std::string_view kBlanks = " \t\r\n";

bool is_blank(std::string_view text) { return text.find_first_not_of(kBlanks) == std::string_view::npos; }

void write_source(ObjectWriter& block, std::string_view type, std::string_view field, std::string_view value,
                  std::string_view media_type = {}) {
  ObjectWriter source(block.member("source"));
  source.text("type", type);
  if (!media_type.empty()) source.text("media_type", media_type);
  source.text(field, value);
  source.end();
}

// Identifiers of files that were uploaded to this provider; everybody else's look different.
bool is_own_file(std::string_view id) { return id.starts_with("file_"); }

bool is_image_type(std::string_view type) {
  constexpr std::array<std::string_view, 4> kTypes{"image/jpeg", "image/png", "image/gif", "image/webp"};
  return std::find(kTypes.begin(), kTypes.end(), type) != kTypes.end();
}

// What cannot be shown of it; nothing when it can.
std::optional<Field> obstacle(const Media& media) {
  switch (media.kind) {
    case Media::Kind::audio: return Field::audio;
    case Media::Kind::video: return Field::video;
    case Media::Kind::image:
      if (!media.data.empty() && !is_image_type(media.type)) return Field::image;
      break;
    case Media::Kind::document:
      if (!media.data.empty() && media.type != "application/pdf" && media.type != "text/plain") return Field::document;
      break;
  }
  if (!media.file.empty() && !is_own_file(media.file)) return Field::file;
  return std::nullopt;
}

Field field_of(const Media& media) {
  return obstacle(media).value_or(media.kind == Media::Kind::image ? Field::image : Field::document);
}

// Something of this part of the model's goes out.
bool is_written(const Part* part) {
  if (const auto* text = std::get_if<Text>(&part->content)) return !is_blank(text->text);
  if (const auto* refusal = std::get_if<chat::Refusal>(&part->content)) return !is_blank(refusal->text);
  if (std::holds_alternative<chat::Thinking>(part->content)) return is_own_thought(*part);
  return !std::holds_alternative<Media>(part->content);
}

// One list of blocks.
class BlockWriter {
 public:
  BlockWriter(std::string& out, Dropped& dropped, bool models = false) : out_(out), dropped_(dropped), models_(models) {
    out_ += '[';
  }
  void end() { out_ += ']'; }
  bool empty() const { return empty_; }

  void write(const Part& part, bool last_of_all) {
    cache_ = &part.cache;
    last_of_all_ = last_of_all;
    cache_said_ = false;
    std::visit(*this, part.content);
    if (part.cache && !cache_said_) dropped_.add(Field::cache_control);
  }

  void operator()(const Text& part) {
    if (!part.citations.empty()) dropped_.add(Field::citations);
    write_text(part.text);
  }
  void operator()(const chat::Refusal& part) { write_text(part.text); }
  void operator()(const Media& part) {
    // Only the user shows things.
    if (models_ || !write_media(part)) dropped_.add(field_of(part));
  }
  void operator()(const chat::Thinking& part);
  void operator()(const chat::ToolCall& part);
  void operator()(const chat::ToolResult& part);

 private:
  ObjectWriter begin(std::string_view type) {
    if (!std::exchange(empty_, false)) out_ += ',';
    ObjectWriter block(out_);
    block.text("type", type);
    return block;
  }
  void end_block(ObjectWriter& block) {
    if (cache_ != nullptr && *cache_) write_cache_control(block.member("cache_control"), *cache_);
    cache_said_ = true;
    block.end();
  }
  // Texts of blanks alone are refused there, and so are blanks at the end of an answer to be continued.
  void write_text(std::string_view text) {
    if (is_blank(text)) return;
    if (last_of_all_) text = text.substr(0, text.find_last_not_of(kBlanks) + 1);
    ObjectWriter block = begin("text");
    block.text("text", text);
    end_block(block);
  }
  bool write_media(const Media& media);

  std::string& out_;
  Dropped& dropped_;
  const std::optional<std::string>* cache_ = nullptr;
  bool cache_said_ = false;  // of the part at hand, or there was none
  bool last_of_all_ = false;
  bool models_;  // the turn is the model's
  bool empty_ = true;
};

bool BlockWriter::write_media(const Media& media) {
  if (obstacle(media)) return false;
  if (!media.detail.empty() && media.detail != "auto") dropped_.add(Field::image_detail);
  bool image = media.kind == Media::Kind::image;
  ObjectWriter block = begin(image ? "image" : "document");
  if (!media.url.empty()) {
    write_source(block, "url", "url", media.url);
  } else if (!media.file.empty()) {
    write_source(block, "file", "file_id", media.file);
  } else {
    write_source(block, media.type == "text/plain" ? "text" : "base64", "data", media.data, media.type);
  }
  if (!image && !media.name.empty()) block.text("title", media.name);
  end_block(block);
  return true;
}

void BlockWriter::operator()(const chat::Thinking& part) {
  if (part.signature.empty() || part.signature.family != chat::Family::anthropic) {
    dropped_.add(Field::thinking);
    return;
  }
  ObjectWriter block = begin(part.redacted ? "redacted_thinking" : "thinking");
  if (!part.redacted) block.text("thinking", part.text);
  block.text(part.redacted ? "data" : "signature", part.signature.bytes);
  block.end();
}

void BlockWriter::operator()(const chat::ToolCall& part) {
  ObjectWriter block = begin("tool_use");
  block.text("id", tool_use_id(part.id));
  block.text("name", part.name);
  auto input = json::parse(part.arguments.empty() ? "{}" : part.arguments);
  if (input && input->is_object()) {
    block.value("input", *input);
  } else {
    // A model's own broken words: kept for it to see.
    block.value("input", json::Object{{"arguments", part.arguments}});
  }
  end_block(block);
}

void BlockWriter::operator()(const chat::ToolResult& part) {
  ObjectWriter block = begin("tool_result");
  block.text("tool_use_id", tool_use_id(part.id));
  std::string content;
  BlockWriter inner(content, dropped_);
  for (const auto& piece : part.content) {
    if (const auto* text = std::get_if<Text>(&piece)) {
      inner(*text);
    } else if (!inner.write_media(std::get<Media>(piece))) {
      dropped_.add(Field::tool_result_media);
    }
  }
  inner.end();
  if (!inner.empty()) block.member("content") += content;
  if (part.error) block.boolean("is_error", true);
  end_block(block);
}

}  // namespace

bool is_own_thought(const Part& part) {
  const auto* thinking = std::get_if<chat::Thinking>(&part.content);
  return thinking != nullptr && !thinking->signature.empty() && thinking->signature.family == chat::Family::anthropic;
}

std::string tool_use_id(std::string_view id) {
  std::string out(id);
  for (char& c : out) {
    bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '-';
    if (!plain) c = '_';
  }
  return out;
}

void write_cache_control(std::string& out, const std::optional<std::string>& cache) {
  out += cache == "1h" ? R"({"type":"ephemeral","ttl":"1h"})" : R"({"type":"ephemeral"})";
}

bool write_blocks(std::string& out, const chat::Turn& turn, bool final, Dropped& dropped) {
  std::vector<const Part*> parts;
  // Thoughts must come first; where one does, those between the calls are where the model had them.
  bool reorder = turn.assistant && !is_own_thought(*turn.parts.front());
  for (bool thoughts : {true, false}) {
    for (const Part* part : turn.parts) {
      if (reorder ? is_own_thought(*part) == thoughts : thoughts) parts.push_back(part);
    }
  }
  const Part* last = nullptr;
  if (final && turn.assistant) {
    auto found = std::find_if(parts.rbegin(), parts.rend(), is_written);
    if (found != parts.rend()) last = *found;
  }
  BlockWriter blocks(out, dropped, turn.assistant);
  for (const Part* part : parts) blocks.write(*part, part == last);
  blocks.end();
  return !blocks.empty();
}

void write_instructions(std::string& out, const std::vector<const Part*>& parts, Dropped& dropped) {
  BlockWriter blocks(out, dropped);
  for (const Part* part : parts) {
    if (std::holds_alternative<Text>(part->content)) {
      blocks.write(*part, false);
    } else if (const auto* media = std::get_if<Media>(&part->content)) {
      dropped.add(field_of(*media));
    }
  }
  blocks.end();
}

}  // namespace penstock::ext::anthropic
