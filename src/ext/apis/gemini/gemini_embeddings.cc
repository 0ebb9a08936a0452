#include <fmt/format.h>

#include <cmath>

#include "ext/apis/gemini/gemini_codec.h"
#include "ext/apis/gemini/members.h"
#include "ext/apis/gemini/status_name.h"

namespace penstock::ext {
namespace {

std::string read_text(Reading& reading, Members request) {
  std::string text;
  Members content = request.object("content");
  (void)content.text("role");
  auto parts = content.list("parts");
  if (parts.empty()) request.wrong("content", "must have parts");
  for (const auto& [value, path] : parts) {
    Members part(reading, value, path);
    if (part.take("text") == nullptr) reading.wrong(path, "must be a text: nothing else can be embedded here");
    text += part.text("text");
    part.done();
  }
  content.done();
  return text;
}

// All inputs of a call share their settings elsewhere: the first one's count, and others must be the same.
class EmbedReader {
 public:
  void one(const json::Value* value, const std::string& path) {
    Members members(reading, value, path);
    (void)members.text("model");
    request.texts.push_back(read_text(reading, members));
    (void)members.take("content");
    chat::EmbeddingsRequest settings;
    take_settings(members, settings);
    // Newer clients write them one level deeper.
    if (Members config = members.object("embedContentConfig"); !config.empty()) {
      take_settings(config, settings);
      config.done();
    }
    members.done();
    if (request.texts.size() == 1) {
      request.task = settings.task;
      request.title = settings.title;
      request.dimensions = settings.dimensions;
      return;
    }
    if (settings.dimensions != request.dimensions)
      members.wrong("outputDimensionality", "must be the same for all requests");
    if (settings.task != request.task) members.unread("taskType");
    if (settings.title != request.title) members.unread("title");
  }

  Reading reading;
  chat::EmbeddingsRequest request;

 private:
  void take_settings(Members& from, chat::EmbeddingsRequest& into) {
    if (std::string task = from.text("taskType"); !task.empty()) into.task = task;
    if (std::string title = from.text("title"); !title.empty()) into.title = title;
    if (auto dimensions = from.integer("outputDimensionality")) {
      if (*dimensions < 1) from.wrong("outputDimensionality", "must be at least 1");
      into.dimensions = dimensions;
    }
  }
};

void append_vector(std::string& out, const std::vector<float>& values) {
  out += R"({"values":[)";
  auto end = std::back_inserter(out);
  for (std::size_t i = 0; i < values.size(); ++i)
    fmt::format_to(end, "{}{}", i == 0 ? "" : ",", std::isfinite(values[i]) ? values[i] : 0.0F);
  out += "]}";
}

class GeminiEmbeddings : public chat::EmbeddingsCodec {
 public:
  chat::Family family() const override { return chat::Family::gemini; }

  Result<chat::EmbeddingsRequest> read_request(std::string_view text) const override {
    auto parsed = json::parse(text);
    if (!parsed) return std::unexpected(parsed.error());
    EmbedReader reader;
    if (json::find(*parsed, "requests") == nullptr) {
      reader.request.single = true;
      reader.one(&*parsed, "");
    } else {
      Members body(reader.reading, &*parsed, "");
      (void)body.text("model");
      auto requests = body.list("requests");
      if (requests.empty()) body.wrong("requests", "must not be empty");
      for (const auto& [value, path] : requests) reader.one(value, path);
      body.done();
    }
    if (reader.reading.error) return std::unexpected(*reader.reading.error);
    reader.request.unread = std::move(reader.reading.unread);
    return std::move(reader.request);
  }

  std::string write_answer(const chat::EmbeddingsRequest& request,
                           const chat::EmbeddingsAnswer& answer) const override {
    std::string out;
    if (request.single) {
      out = R"({"embedding":)";
      append_vector(out, answer.vectors.empty() ? std::vector<float>() : answer.vectors[0]);
    } else {
      out = R"({"embeddings":[)";
      for (std::size_t i = 0; i < answer.vectors.size(); ++i) {
        if (i > 0) out += ',';
        append_vector(out, answer.vectors[i]);
      }
      out += ']';
    }
    if (answer.usage.known)
      fmt::format_to(std::back_inserter(out), R"(,"usageMetadata":{{"promptTokenCount":{}}})", answer.usage.input);
    return out + '}';
  }

  std::string_view field_name(chat::Field field) const override { return gemini_field_name(field); }
  std::string write_error(const chat::ProviderError& error) const override {
    return error_json(error.status, error.message);
  }
};

}  // namespace

std::shared_ptr<const chat::EmbeddingsCodec> gemini_embeddings_codec() {
  return std::make_shared<const GeminiEmbeddings>();
}

}  // namespace penstock::ext
