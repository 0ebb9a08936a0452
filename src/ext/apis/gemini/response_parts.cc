#include "ext/apis/gemini/response_parts.h"

#include "base/text.h"
#include "chat/base64.h"
#include "ext/apis/gemini/seal.h"

namespace penstock::ext {
namespace {

constexpr std::string_view kSpace = " \t\r\n";

void append_signature(std::string& out, const chat::Signature& signature, bool redacted = false) {
  if (signature.empty()) return;
  out += R"(,"thoughtSignature":)";
  json::append_quoted(out, write_seal(signature, redacted));
}

// The byte at which the character `index` of `text` begins.
std::size_t byte_of(std::string_view text, std::int64_t index) {
  std::size_t at = 0;
  while (at < text.size() && index > 0) {
    ++at;
    while (at < text.size() && (static_cast<unsigned char>(text[at]) & 0xc0) == 0x80) ++at;
    --index;
  }
  return at;
}

json::Object candidate_of(const json::Value& token) {
  json::Object out{{"token", json::string_or(token, "token", "")}};
  if (const json::Value* number = json::find(token, "logprob"); number != nullptr && number->is_number())
    out["logProbability"] = *number;
  return out;
}

}  // namespace

void append_text_part(std::string& out, std::string_view text) {
  out += R"({"text":)";
  json::append_quoted(out, text);
  out += '}';
}

void append_thought_part(std::string& out, std::string_view text, const chat::Signature& signature, bool redacted) {
  out += R"({"text":)";
  json::append_quoted(out, redacted ? std::string_view() : text);
  // Gemini's own seal of what is not shown stands in no thought.
  if (!redacted || signature.family != chat::Family::gemini) out += R"(,"thought":true)";
  append_signature(out, signature, redacted);
  out += '}';
}

void append_media_part(std::string& out, const chat::Media& media) {
  if (!media.data.empty()) {
    out += R"({"inlineData":{"mimeType":)";
    json::append_quoted(out, media.type);
    out += R"(,"data":)";
    json::append_quoted(out, media.type == "text/plain" ? chat::write_base64(media.data) : media.data);
  } else {
    out += R"({"fileData":{"mimeType":)";
    json::append_quoted(out, media.type);
    out += R"(,"fileUri":)";
    json::append_quoted(out, media.url.empty() ? media.file : media.url);
  }
  out += "}}";
}

void append_call_part(std::string& out, std::string_view id, std::string_view name, std::string_view args,
                      const chat::Signature& signature) {
  out += R"({"functionCall":{)";
  if (!id.empty()) {
    out += R"("id":)";
    json::append_quoted(out, id);
    out += ',';
  }
  out += R"("name":)";
  json::append_quoted(out, name);
  base::append(out, R"(,"args":)", args, "}");
  append_signature(out, signature);
  out += '}';
}

bool may_be_complete(std::string_view arguments) {
  std::size_t last = arguments.find_last_not_of(kSpace);
  return last != std::string_view::npos && arguments[last] == '}';
}

std::optional<std::string> read_arguments(std::string_view arguments) {
  if (arguments.find_first_not_of(kSpace) == std::string_view::npos) return "{}";
  auto parsed = json::parse(arguments);
  if (!parsed || !parsed->is_object()) return std::nullopt;
  return json::dump(*parsed);
}

void append_citation(std::string& list, const chat::Citation& citation, std::string_view said) {
  json::Object source;
  if (citation.begin >= 0 && citation.end >= citation.begin) {
    source["startIndex"] = byte_of(said, citation.begin);
    source["endIndex"] = byte_of(said, citation.end);
  }
  if (!citation.url.empty()) source["uri"] = citation.url;
  if (!citation.title.empty()) source["title"] = citation.title;
  if (source.empty()) return;
  if (!list.empty()) list += ',';
  list += json::dump(source);
}

void append_end(std::string& out, std::string_view reason, int index, std::string_view citations) {
  if (!reason.empty()) base::append(out, R"(,"finishReason":")", reason, "\"");
  if (reason == kMalformed) out += R"(,"finishMessage":"the arguments of a function call are no JSON object")";
  base::append(out, R"(,"index":)", base::Digits(index));
  if (!citations.empty()) base::append(out, R"(,"citationMetadata":{"citationSources":[)", citations, "]}");
}

void append_usage(std::string& out, const chat::Usage& usage) {
  if (!usage.known) return;
  base::append(out, R"(,"usageMetadata":{"promptTokenCount":)", base::Digits(usage.input),
               R"(,"candidatesTokenCount":)", base::Digits(std::max<std::int64_t>(usage.output - usage.reasoning, 0)),
               R"(,"totalTokenCount":)", base::Digits(usage.input + usage.output));
  if (usage.cached > 0) base::append(out, R"(,"cachedContentTokenCount":)", base::Digits(usage.cached));
  if (usage.reasoning > 0) base::append(out, R"(,"thoughtsTokenCount":)", base::Digits(usage.reasoning));
  out += '}';
}

std::string logprobs_result(const json::Value& logprobs) {
  const json::Value* content = json::find(logprobs, "content");
  if (content == nullptr || !content->is_array() || content->get_array().empty()) return {};
  json::Array chosen, top;
  for (const json::Value& token : content->get_array()) {
    chosen.push_back(json::Value(candidate_of(token)));
    json::Array others;
    if (const json::Value* list = json::find(token, "top_logprobs"); list != nullptr && list->is_array()) {
      for (const json::Value& other : list->get_array()) others.push_back(json::Value(candidate_of(other)));
    }
    top.push_back(json::Object{{"candidates", std::move(others)}});
  }
  return json::dump(json::Object{{"topCandidates", std::move(top)}, {"chosenCandidates", std::move(chosen)}});
}

std::string head_fields(const chat::Request& request, std::string_view id, std::string_view model) {
  std::string out = R"(,"modelVersion":)";
  json::append_quoted(out, model.empty() ? std::string_view(request.model) : model);
  out += R"(,"responseId":)";
  json::append_quoted(out, id.empty() ? std::string_view(request.id) : id);
  return out;
}

}  // namespace penstock::ext
