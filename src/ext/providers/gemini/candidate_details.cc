#include "ext/providers/gemini/candidate_details.h"

#include "chat/base64.h"

namespace penstock::ext {
namespace {

const json::Array* list_of(const json::Value* from, std::string_view name) {
  const json::Value* list = from != nullptr ? json::find(*from, name) : nullptr;
  return list != nullptr ? list->if_array() : nullptr;
}

json::Object token_of(const json::Value& candidate) {
  std::string_view token = json::string_or(candidate, "token", "");
  json::Object out{{"token", token}, {"logprob", 0.0}};
  if (const json::Value* number = json::find(candidate, "logProbability"); number != nullptr && number->is_number())
    out["logprob"] = *number;
  json::Array bytes;
  for (char c : token) bytes.push_back(static_cast<unsigned char>(c));
  out["bytes"] = std::move(bytes);
  return out;
}

}  // namespace

std::vector<chat::Citation> read_citations(const json::Value& candidate) {
  std::vector<chat::Citation> out;
  const json::Value* metadata = json::find(candidate, "citationMetadata");
  for (std::string_view name : {"citationSources", "citations"}) {
    const json::Array* sources = list_of(metadata, name);
    if (sources == nullptr) continue;
    for (const json::Value& source : *sources)
      out.push_back({.url = std::string(json::string_or(source, "uri", "")),
                     .title = std::string(json::string_or(source, "title", ""))});
  }
  const json::Value* grounding = json::find(candidate, "groundingMetadata");
  const json::Array* chunks = list_of(grounding, "groundingChunks");
  const json::Array* supports = list_of(grounding, "groundingSupports");
  if (chunks == nullptr || supports == nullptr) return out;
  for (const json::Value& support : *supports) {
    const json::Value* segment = json::find(support, "segment");
    const json::Array* indices = list_of(&support, "groundingChunkIndices");
    if (indices == nullptr) continue;
    for (const json::Value& index : *indices) {
      const std::int64_t* at = index.if_int64();
      if (at == nullptr || *at < 0 || static_cast<std::size_t>(*at) >= chunks->size()) continue;
      const json::Value* web = json::find((*chunks)[static_cast<std::size_t>(*at)], "web");
      if (web == nullptr) continue;
      out.push_back({.url = std::string(json::string_or(*web, "uri", "")),
                     .title = std::string(json::string_or(*web, "title", "")),
                     .quote = std::string(segment != nullptr ? json::string_or(*segment, "text", "") : "")});
    }
  }
  return out;
}

json::Value read_logprobs(const json::Value& candidate) {
  const json::Value* result = json::find(candidate, "logprobsResult");
  const json::Array* chosen = list_of(result, "chosenCandidates");
  if (chosen == nullptr || chosen->empty()) return {};
  const json::Array* top = list_of(result, "topCandidates");
  json::Array content;
  for (std::size_t i = 0; i < chosen->size(); ++i) {
    json::Object token = token_of((*chosen)[i]);
    json::Array others;
    const json::Array* list = top != nullptr && i < top->size() ? list_of(&(*top)[i], "candidates") : nullptr;
    if (list != nullptr) {
      for (const json::Value& other : *list) others.push_back(json::Value(token_of(other)));
    }
    token["top_logprobs"] = std::move(others);
    content.push_back(json::Value(std::move(token)));
  }
  return json::Object{{"content", std::move(content)}};
}

chat::Media read_media(const json::Value& data) {
  chat::Media media;
  media.type = json::string_or(data, "mimeType", "");
  media.data = chat::standard_base64(std::string(json::string_or(data, "data", "")));
  if (media.type.starts_with("audio/")) media.kind = chat::Media::Kind::audio;
  if (media.type.starts_with("video/")) media.kind = chat::Media::Kind::video;
  return media;
}

}  // namespace penstock::ext
