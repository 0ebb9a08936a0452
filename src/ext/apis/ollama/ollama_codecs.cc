#include "ext/apis/ollama/ollama_codecs.h"

#include "base/text.h"
#include "ext/apis/ollama/field_names.h"
#include "ext/apis/ollama/object_reader.h"
#include "ext/apis/ollama/request_reader.h"

namespace penstock::ext {
namespace {

void write_vector(const std::vector<float>& vector, std::string& out) {
  out += '[';
  for (std::size_t i = 0; i < vector.size(); ++i) {
    char digits[32];
    auto end = std::to_chars(digits, digits + sizeof digits, vector[i]).ptr;
    if (i > 0) out += ',';
    out.append(digits, end);
  }
  out += ']';
}

void read_inputs(ObjectReader& in, bool old, chat::EmbeddingsRequest& request) {
  std::string_view name = old ? "prompt" : "input";
  const json::Value* input = in.get(name);
  if (input != nullptr && input->is_string()) {
    request.texts = {in.text(name)};
    request.single = true;
  } else if (input != nullptr && input->is_array() && !old) {
    request.texts = in.texts(name);
  }
  if (request.texts.empty()) in.mistake(name, old ? "must be a text" : "must be a text or a list of texts");
}

}  // namespace

Result<chat::Request> OllamaCodec::read_request(std::string_view body) const {
  return form_ == OllamaForm::chat ? read_ollama_chat(body) : read_ollama_generate(body);
}

std::string_view OllamaCodec::field_name(chat::Field field) const {
  // /api/generate has no messages.
  if (form_ == OllamaForm::generate && field == chat::Field::image) return "images";
  return ollama_field_name(field);
}

Result<chat::EmbeddingsRequest> OllamaEmbeddingsCodec::read_request(std::string_view body) const {
  auto parsed = json::parse(body);
  if (!parsed) return std::unexpected(parsed.error());
  ObjectReader::Findings findings;
  ObjectReader in(*parsed, "", findings);
  chat::EmbeddingsRequest request;
  request.model = in.text("model");
  if (request.model.empty()) in.mistake("model", "must be the name of a model");
  read_inputs(in, old_, request);
  if (!old_) request.dimensions = in.integer("dimensions");
  in.done();
  if (findings.mistake) return std::unexpected(std::move(*findings.mistake));
  request.unread = std::move(findings.unread);
  return request;
}

std::string OllamaEmbeddingsCodec::write_answer(const chat::EmbeddingsRequest& request,
                                                const chat::EmbeddingsAnswer& answer) const {
  std::string out;
  if (old_) {
    out += "{\"embedding\":";
    write_vector(answer.vectors.empty() ? std::vector<float>() : answer.vectors.front(), out);
    return out += '}';
  }
  out += "{\"model\":";
  json::append_quoted(out, request.model);
  out += ",\"embeddings\":[";
  for (std::size_t i = 0; i < answer.vectors.size(); ++i) {
    if (i > 0) out += ',';
    write_vector(answer.vectors[i], out);
  }
  out += ']';
  if (answer.usage.known) base::append(out, ",\"prompt_eval_count\":", base::Digits(answer.usage.input));
  return out += '}';
}

std::string_view OllamaEmbeddingsCodec::field_name(chat::Field field) const { return ollama_field_name(field); }

}  // namespace penstock::ext
