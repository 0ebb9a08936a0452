#include "ext/providers/openai/embeddings_translator.h"

#include <bit>

#include "chat/base64.h"
#include "ext/providers/openai/answer_reader.h"
#include "json/cursor.h"
#include "json/writer.h"

namespace penstock::ext {
namespace {

Result<std::vector<float>> floats_of(std::string_view base64) {
  auto bytes = chat::read_base64(base64);
  if (!bytes || bytes->size() % 4 != 0) return fail(Errc::protocol_error, "an embedding that is no list of floats");
  std::vector<float> vector(bytes->size() / 4);
  for (std::size_t i = 0; i < vector.size(); ++i) {
    std::uint32_t bits = 0;
    for (std::size_t k = 0; k < 4; ++k)
      bits |= static_cast<std::uint32_t>(static_cast<unsigned char>((*bytes)[i * 4 + k])) << (8 * k);
    vector[i] = std::bit_cast<float>(bits);
  }
  return vector;
}

struct Embedding {
  std::int64_t index = -1;
  std::vector<float> vector = {};
};

Result<Embedding> read_embedding(json::Cursor& in) {
  Embedding entry;
  std::string_view key;
  in.open_object();
  while (in.next_member(key)) {
    if (key == "index" && in.peek() == json::Cursor::Kind::number) {
      in.read_number(entry.index);
    } else if (key != "embedding") {
      in.skip();
    } else if (in.peek() == json::Cursor::Kind::string) {
      std::string text;
      in.read_string(text);
      auto floats = floats_of(text);
      if (!floats) return std::unexpected(floats.error());
      entry.vector = std::move(*floats);
    } else if (in.open_array()) {
      float value = 0;
      while (in.next_element() && in.read_number(value)) entry.vector.push_back(value);
    }
  }
  return entry;
}

// Entries come in the order of the inputs, and their indexes say the same; the index counts where they differ.
Result<void> read_data(json::Cursor& in, std::vector<std::vector<float>>& vectors) {
  std::size_t place = 0;
  in.open_array();
  while (in.next_element()) {
    auto entry = read_embedding(in);
    if (!entry) return std::unexpected(entry.error());
    std::size_t at = entry->index < 0 ? place : static_cast<std::size_t>(entry->index);
    if (in.failed() || at >= vectors.size() || entry->vector.empty()) break;
    vectors[at] = std::move(entry->vector);
    ++place;
  }
  if (in.failed()) return fail(Errc::protocol_error, in.error());
  if (place != vectors.size()) return fail(Errc::protocol_error, "not as many embeddings as inputs");
  for (const auto& vector : vectors) {
    if (vector.empty()) return fail(Errc::protocol_error, "two embeddings of one input");
  }
  return {};
}

}  // namespace

void write_openai_embeddings_request(const chat::EmbeddingsRequest& request, std::string_view model, std::string& out) {
  json::Writer writer(out);
  writer.open_object().member("model", model).key("input");
  if (!request.single) writer.open_array();
  for (const std::string& text : request.texts) writer.string(text);
  for (const auto& tokens : request.tokens) {
    writer.open_array();
    for (std::int64_t token : tokens) writer.number(token);
    writer.close_array();
  }
  if (!request.single) writer.close_array();
  if (request.dimensions) writer.member("dimensions", *request.dimensions);
  if (!request.user.empty()) writer.member("user", request.user);
  writer.close_object();
}

Result<chat::EmbeddingsAnswer> read_openai_embeddings(const chat::EmbeddingsRequest& request, std::string_view body) {
  chat::EmbeddingsAnswer answer;
  answer.vectors.resize(request.texts.size() + request.tokens.size());
  bool found = false;
  json::Cursor in(body);
  std::string_view key;
  in.open_object();
  while (in.next_member(key)) {
    if (key == "data" && in.peek() == json::Cursor::Kind::array && !found) {
      found = true;
      if (auto read = read_data(in, answer.vectors); !read) return std::unexpected(read.error());
    } else if (key == "model" && in.peek() == json::Cursor::Kind::string) {
      in.read_string(answer.model);
    } else if (key == "usage") {
      std::size_t begin = in.offset();
      in.skip();
      if (in.failed()) break;
      auto usage = json::parse(body.substr(begin, in.offset() - begin));
      if (usage) answer.usage = read_openai_usage(json::Value(json::Object{{"usage", *usage}}));
    } else {
      in.skip();
    }
  }
  if (!in.finish()) return fail(Errc::protocol_error, in.error());
  if (!found) return fail(Errc::protocol_error, "an answer without embeddings");
  return answer;
}

}  // namespace penstock::ext
