#include "ext/apis/openai/content_reader.h"

#include "chat/base64.h"
#include "chat/data_url.h"

namespace penstock::ext {
namespace {

using Kind = chat::Media::Kind;

bool is_web_url(std::string_view url) { return url.starts_with("http://") || url.starts_with("https://"); }

Kind kind_of(std::string_view type) {
  if (type.starts_with("image/")) return Kind::image;
  if (type.starts_with("audio/")) return Kind::audio;
  return type.starts_with("video/") ? Kind::video : Kind::document;
}

void read_url(OpenAiObject& in, chat::Media& media) {
  std::string_view url = in.string("url");
  if (auto data = chat::read_data_url(url)) {
    media.type = data->type.empty() ? chat::sniff_media_type(data->data) : data->type;
    media.data = data->data;
  } else if (is_web_url(url)) {
    media.url = url;
  } else {
    in.fail("url", "must be a URL with http:// or https://, or a data: URL in base64");
  }
}

chat::Media read_visual(OpenAiObject& part, std::string_view name, Kind kind) {
  chat::Media media{.kind = kind};
  const json::Value* value = part.object(name);
  if (value == nullptr) {
    part.fail(name, "is missing");
    return media;
  }
  OpenAiObject in(*value, part.at(name), part.reading());
  read_url(in, media);
  media.detail = in.string("detail");
  return media;
}

chat::Media read_audio(OpenAiObject& part) {
  chat::Media media{.kind = Kind::audio};
  const json::Value* value = part.object("input_audio");
  if (value == nullptr) {
    part.fail("input_audio", "is missing");
    return media;
  }
  OpenAiObject in(*value, part.at("input_audio"), part.reading());
  std::string_view format = in.string("format");
  media.data = in.string("data");
  if (media.data.empty()) in.fail("data", "must be the sound in base64");
  if (format.empty()) in.fail("format", "must be wav or mp3");
  media.type = format == "mp3" ? "audio/mpeg" : fmt::format("audio/{}", format);
  return media;
}

// Text is kept as text: providers that take no files take that.
void unpack_text(OpenAiObject& in, chat::Media& media) {
  if (media.type != "text/plain") return;
  if (auto text = chat::read_base64(media.data); text && json::is_valid_utf8(*text)) {
    media.data = std::move(*text);
  } else {
    in.fail("file_data", "must be UTF-8 text in base64");
  }
}

chat::Media read_file(OpenAiObject& part) {
  chat::Media media{.kind = Kind::document};
  const json::Value* value = part.object("file");
  if (value == nullptr) {
    part.fail("file", "is missing");
    return media;
  }
  OpenAiObject in(*value, part.at("file"), part.reading());
  std::string_view data = in.string("file_data");
  media.file = in.string("file_id");
  media.name = in.string("filename");
  if (data.empty() == media.file.empty()) {
    in.reading().fail(in.place(), "must have either file_data or file_id");
    return media;
  }
  if (data.empty()) return media;
  if (is_web_url(data)) {
    media.url = data;
    return media;
  }
  auto url = chat::read_data_url(data);
  media.data = url ? url->data : data;
  media.type = url && !url->type.empty() ? url->type : chat::sniff_media_type(media.data);
  if (media.type.empty()) media.type = chat::media_type_of_name(media.name);
  media.kind = kind_of(media.type.empty() ? "application/pdf" : media.type);
  unpack_text(in, media);
  return media;
}

std::optional<chat::Part> read_part(const json::Value& value, OpenAiPlace place, OpenAiReading& reading) {
  OpenAiObject in(value, place, reading);
  std::string_view type = in.string("type");
  chat::Part part{.content = chat::Text{}};
  part.cache = read_openai_cache(in);
  if (type == "text") {
    if (in.take("text") == nullptr) in.fail("text", "is missing");
    std::get<chat::Text>(part.content).text = in.string("text");
  } else if (type == "image_url") {
    part.content = read_visual(in, "image_url", Kind::image);
  } else if (type == "video_url") {
    part.content = read_visual(in, "video_url", Kind::video);
  } else if (type == "input_audio") {
    part.content = read_audio(in);
  } else if (type == "file") {
    part.content = read_file(in);
  } else if (type == "refusal") {
    part.content = chat::Refusal{std::string(in.string("refusal"))};
  } else {
    in.fail("type", "must be text, image_url, input_audio, file, video_url or refusal");
    return std::nullopt;
  }
  return part;
}

}  // namespace

std::vector<chat::Part> read_openai_content(OpenAiObject& owner, std::string_view name) {
  std::vector<chat::Part> parts;
  const json::Value* content = owner.take(name);
  if (content == nullptr) return parts;
  if (content->is_string()) {
    const auto& text = content->get_string();
    if (!text.empty()) parts.push_back({.content = chat::Text{std::string(text.data(), text.size())}});
  } else if (content->is_array()) {
    std::size_t index = 0;
    for (const json::Value& value : content->get_array()) {
      if (auto part = read_part(value, owner.at(name, index++), owner.reading())) parts.push_back(std::move(*part));
    }
  } else {
    owner.fail(name, "must be a string or a list of parts");
  }
  return parts;
}

std::optional<std::string> read_openai_cache(OpenAiObject& owner) {
  const json::Value* value = owner.object("cache_control");
  if (value == nullptr) return std::nullopt;
  OpenAiObject in(*value, owner.at("cache_control"), owner.reading());
  if (in.string("type") != "ephemeral") in.fail("type", "must be ephemeral");
  std::string_view ttl = in.string("ttl");
  if (!ttl.empty() && ttl != "5m" && ttl != "1h") in.fail("ttl", "must be 5m or 1h");
  return ttl.empty() ? "5m" : std::string(ttl);
}

}  // namespace penstock::ext
