#include "ext/apis/openai/responses_content.h"

#include "chat/base64.h"
#include "chat/data_url.h"

namespace penstock::ext {
namespace {

using chat::Media;
using chat::Part;

Media::Kind kind_of(std::string_view type) {
  if (type.starts_with("image/")) return Media::Kind::image;
  if (type.starts_with("audio/")) return Media::Kind::audio;
  return type.starts_with("video/") ? Media::Kind::video : Media::Kind::document;
}

bool is_web_url(std::string_view url) { return url.starts_with("http://") || url.starts_with("https://"); }

std::string required(OpenAiObject& in, std::string_view name) {
  if (in.take(name) == nullptr) in.fail(name, "must be a string");
  return std::string(in.string(name));
}

Part read_input_text(OpenAiObject& in) { return {.content = chat::Text{required(in, "text")}}; }

Part read_refusal(OpenAiObject& in) { return {.content = chat::Refusal{required(in, "refusal")}}; }

// Citations of pages stay; what was cited from files of the provider's own is nothing to anybody else.
Part read_output_text(OpenAiObject& in) {
  chat::Text text{required(in, "text")};
  in.skip("logprobs");
  const json::Array* annotations = in.list("annotations");
  for (std::size_t i = 0; annotations != nullptr && i < annotations->size(); ++i) {
    const json::Value& value = (*annotations)[i];
    OpenAiPlace place = in.at("annotations", i);
    if (json::string_or(value, "type", "") != "url_citation") {
      in.reading().leave_unread(place);
      continue;
    }
    OpenAiObject annotation(value, place, in.reading());
    annotation.skip("type");
    text.citations.push_back({.url = std::string(annotation.string("url")),
                              .title = std::string(annotation.string("title")),
                              .begin = annotation.integer("start_index").value_or(-1),
                              .end = annotation.integer("end_index").value_or(-1)});
  }
  return {.content = std::move(text)};
}

Part read_image(OpenAiObject& in) {
  Media image;
  std::string_view url = in.string("image_url");
  image.file = in.string("file_id");
  if (url.empty() == image.file.empty()) {
    in.reading().fail(in.place(), "must have either image_url or file_id");
  } else if (auto data = chat::read_data_url(url)) {
    image.type = data->type.empty() ? chat::sniff_media_type(data->data) : data->type;
    image.data = data->data;
  } else if (is_web_url(url)) {
    image.url = url;
  } else if (!url.empty()) {
    in.fail("image_url", "must be a URL with http:// or https://, or a data: URL in base64");
  }
  image.detail = in.string("detail");
  // That is so without saying it.
  if (image.detail == "auto") image.detail.clear();
  return {.content = std::move(image)};
}

// Text is kept as text: providers that take no files take that.
void unpack_text(OpenAiObject& in, Media& media) {
  if (media.type != "text/plain") return;
  if (auto text = chat::read_base64(media.data); text && json::is_valid_utf8(*text)) {
    media.data = std::move(*text);
  } else {
    in.fail("file_data", "must be UTF-8 text in base64");
  }
}

void read_file_data(OpenAiObject& in, std::string_view given, Media& file) {
  auto url = chat::read_data_url(given);
  if (!url && given.starts_with("data:")) in.fail("file_data", "must be base64, or a data: URL in base64");
  file.data = url ? url->data : given;
  if (url) file.type = url->type;
  if (file.type.empty()) file.type = chat::sniff_media_type(file.data);
  if (file.type.empty()) file.type = chat::media_type_of_name(file.name);
  file.kind = kind_of(file.type);
  unpack_text(in, file);
}

Part read_file(OpenAiObject& in) {
  Media file{.kind = Media::Kind::document, .file = std::string(in.string("file_id"))};
  file.name = in.string("filename");
  std::string_view data = in.string("file_data");
  file.url = in.string("file_url");
  in.skip("detail");
  if (int{!data.empty()} + int{!file.url.empty()} + int{!file.file.empty()} != 1) {
    in.reading().fail(in.place(), "must have one of file_data, file_url and file_id");
  } else if (!data.empty()) {
    read_file_data(in, data, file);
  } else if (!file.url.empty()) {
    if (!is_web_url(file.url)) in.fail("file_url", "must be a URL with http:// or https://");
    file.type = chat::media_type_of_name(file.url);
  }
  return {.content = std::move(file)};
}

Part read_audio(OpenAiObject& in) {
  Media media{.kind = Media::Kind::audio};
  const json::Value* value = in.object("input_audio");
  if (value == nullptr) {
    in.fail("input_audio", "must be an object");
    return {.content = std::move(media)};
  }
  OpenAiObject audio(*value, in.at("input_audio"), in.reading());
  std::string format = required(audio, "format");
  media.data = required(audio, "data");
  media.type = format == "mp3" ? "audio/mpeg" : "audio/" + format;
  return {.content = std::move(media)};
}

struct PartType {
  std::string_view name;
  Part (*read)(OpenAiObject&);
};
constexpr PartType kPartTypes[] = {
    {"input_text", read_input_text}, {"output_text", read_output_text}, {"refusal", read_refusal},
    {"input_image", read_image},     {"input_file", read_file},         {"input_audio", read_audio},
};

void read_part(const json::Value& value, OpenAiPlace place, OpenAiReading& reading, std::vector<Part>& parts) {
  std::string_view type = json::string_or(value, "type", "");
  for (const PartType& known : kPartTypes) {
    if (known.name != type) continue;
    OpenAiObject in(value, place, reading);
    in.skip("type");
    parts.push_back(known.read(in));
    return;
  }
  if (type.empty()) {
    reading.fail(place, "must be an object with the type of its content");
  } else {
    reading.leave_unread(place);
  }
}

}  // namespace

std::vector<Part> read_responses_content(OpenAiObject& owner, std::string_view name) {
  std::vector<Part> parts;
  const json::Value* content = owner.take(name);
  if (content != nullptr && content->is_string()) {
    parts.push_back({.content = chat::Text{std::string(content->get_string())}});
  } else if (content != nullptr && content->is_array()) {
    std::size_t index = 0;
    for (const json::Value& value : content->get_array())
      read_part(value, owner.at(name, index++), owner.reading(), parts);
  } else {
    owner.fail(name, "must be a string or a list of content");
  }
  return parts;
}

}  // namespace penstock::ext
