#include "chat/unshown.h"

#include <algorithm>

namespace penstock::chat {
namespace {

std::string_view name_of(Media::Kind kind) {
  switch (kind) {
    case Media::Kind::image: return "answer.image";
    case Media::Kind::audio: return "answer.audio";
    case Media::Kind::document: return "answer.document";
    case Media::Kind::video: return "answer.video";
  }
  return "answer.media";
}

std::string_view unshown(const Part& part, const ClientCodec& codec) {
  if (const auto* media = std::get_if<Media>(&part.content))
    return codec.shows_media(*media) ? std::string_view() : name_of(media->kind);
  const auto* text = std::get_if<Text>(&part.content);
  if (text == nullptr) return {};
  bool all = std::ranges::all_of(text->citations, [&](const Citation& each) { return codec.shows_citation(each); });
  return all ? std::string_view() : "answer.citations";
}

}  // namespace

std::vector<std::string_view> unshown(const Answer& answer, const ClientCodec& codec) {
  std::vector<std::string_view> names;
  for (const Choice& choice : answer.choices) {
    for (const Part& part : choice.parts) {
      std::string_view name = unshown(part, codec);
      if (!name.empty() && std::ranges::find(names, name) == names.end()) names.push_back(name);
    }
  }
  return names;
}

}  // namespace penstock::chat
