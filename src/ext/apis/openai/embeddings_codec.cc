#include "ext/apis/openai/embeddings_codec.h"

#include <bit>

#include "chat/base64.h"
#include "ext/apis/openai/error_body.h"
#include "ext/apis/openai/field_names.h"
#include "ext/apis/openai/object_reader.h"
#include "json/writer.h"

namespace penstock::ext {
namespace {

constexpr std::string_view kInputs = "must be a string, a list of strings, a list of token numbers, or a list of these";

std::string to_text(const json::Value& value) { return {value.get_string().data(), value.get_string().size()}; }

std::optional<std::vector<std::int64_t>> read_tokens(const json::Array& list) {
  std::vector<std::int64_t> tokens;
  tokens.reserve(list.size());
  for (const json::Value& entry : list) {
    if (!entry.is_int64() || entry.get_int64() < 0) return std::nullopt;
    tokens.push_back(entry.get_int64());
  }
  return tokens;
}

bool read_entry(const json::Value& entry, chat::EmbeddingsRequest& request) {
  if (entry.is_string() && request.tokens.empty()) {
    request.texts.push_back(to_text(entry));
    return true;
  }
  if (!entry.is_array() || entry.get_array().empty() || !request.texts.empty()) return false;
  auto tokens = read_tokens(entry.get_array());
  if (tokens) request.tokens.push_back(std::move(*tokens));
  return tokens.has_value();
}

void read_input(OpenAiObject& top, chat::EmbeddingsRequest& request) {
  const json::Value* input = top.take("input");
  if (input == nullptr) return top.fail("input", "is missing");
  if (input->is_string()) {
    request.single = true;
    request.texts.push_back(to_text(*input));
    return;
  }
  if (!input->is_array() || input->get_array().empty()) return top.fail("input", kInputs);
  const json::Array& list = input->get_array();
  if (list.front().is_number()) {
    request.single = true;
    auto tokens = read_tokens(list);
    if (!tokens) return top.fail("input", kInputs);
    request.tokens.push_back(std::move(*tokens));
    return;
  }
  std::size_t index = 0;
  for (const json::Value& entry : list) {
    if (!read_entry(entry, request)) return top.reading().fail(top.at("input", index), kInputs);
    ++index;
  }
}

// IEEE 754, lowest byte first.
std::string to_bytes(const std::vector<float>& vector) {
  std::string bytes;
  bytes.reserve(vector.size() * sizeof(float));
  for (float value : vector) {
    auto bits = std::bit_cast<std::uint32_t>(value);
    for (int shift = 0; shift < 32; shift += 8) bytes += static_cast<char>(bits >> shift & 0xff);
  }
  return bytes;
}

}  // namespace

Result<chat::EmbeddingsRequest> OpenAiEmbeddingsCodec::read_request(std::string_view body) const {
  auto parsed = json::parse(body);
  if (!parsed) return std::unexpected(parsed.error());
  OpenAiReading reading;
  chat::EmbeddingsRequest request;
  {
    OpenAiObject top(*parsed, {}, reading);
    request.model = top.string("model");
    if (request.model.empty()) top.fail("model", "must be the name of a model");
    read_input(top, request);
    request.dimensions = top.integer("dimensions", 1);
    request.user = top.string("user");
    std::string_view format = top.string("encoding_format");
    request.base64 = format == "base64";
    if (!format.empty() && !request.base64 && format != "float") top.fail("encoding_format", "must be float or base64");
  }
  if (reading.mistake) return std::unexpected(std::move(*reading.mistake));
  request.unread = std::move(reading.unread);
  return request;
}

std::string OpenAiEmbeddingsCodec::write_answer(const chat::EmbeddingsRequest& request,
                                                const chat::EmbeddingsAnswer& answer) const {
  std::string text;
  json::Writer out(text);
  out.open_object().member("object", "list").key("data").open_array();
  std::int64_t index = 0;
  for (const std::vector<float>& vector : answer.vectors) {
    out.open_object().member("object", "embedding").member("index", index++).key("embedding");
    if (request.base64) {
      out.string(chat::write_base64(to_bytes(vector)));
    } else {
      out.open_array();
      for (float value : vector) out.number(value);
      out.close_array();
    }
    out.close_object();
  }
  out.close_array().member("model", answer.model.empty() ? request.model : answer.model);
  // The field is required, so that a provider that counts nothing is shown as zero.
  out.key("usage").open_object().member("prompt_tokens", answer.usage.input);
  out.member("total_tokens", answer.usage.input).close_object().close_object();
  return text;
}

std::string_view OpenAiEmbeddingsCodec::field_name(chat::Field field) const { return openai_field_name(field); }

std::string OpenAiEmbeddingsCodec::write_error(const chat::ProviderError& error) const {
  return openai_error_body(error);
}

}  // namespace penstock::ext
