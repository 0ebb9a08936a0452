#include "ext/apis/openai/completions_codec.h"

#include "ext/apis/openai/answer_text.h"
#include "ext/apis/openai/chunk_writer.h"
#include "ext/apis/openai/error_body.h"
#include "ext/apis/openai/field_names.h"
#include "ext/apis/openai/request_reader.h"

namespace penstock::ext {
namespace {

constexpr std::string_view kObject = "text_completion";
constexpr std::string_view kIdPrefix = "cmpl-";

// The text of an answer; a model that declines says so in the text, too. Thoughts have no place here.
std::string text_of(const chat::Choice& choice) {
  std::string text;
  for (const chat::Part& part : choice.parts) {
    if (const auto* said = std::get_if<chat::Text>(&part.content)) text += said->text;
    if (const auto* refusal = std::get_if<chat::Refusal>(&part.content)) text += refusal->text;
  }
  return text;
}

class CompletionStreamWriter : public OpenAiChunkWriter {
 public:
  explicit CompletionStreamWriter(const chat::Request& request) : OpenAiChunkWriter(request, kObject, kIdPrefix) {}

  void begin(const chat::StreamHead& head) override { OpenAiChunkWriter::begin(head); }
  void text(int choice, std::string_view text) override {
    json::Writer out = open_chunk(choice);
    out.member("text", text).key("logprobs");
    logprobs_at_ = output_.size();
    output_ += R"(null,"finish_reason":null)";
    close_chunk();
    end_at_ = output_.size();
    last_choice_ = choice;
    auto index = static_cast<std::size_t>(choice);
    if (characters_.size() <= index) characters_.resize(index + 1);
    characters_[index].before = characters_[index].all;
    characters_[index].all += count_openai_characters(text);
  }
  void citation(int, const chat::Citation&) override {}
  void refusal(int choice, std::string_view refusal) override { text(choice, refusal); }
  void thinking(int, std::string_view) override {}
  void thinking_end(int, const chat::Signature&, bool) override {}
  void media(int, const chat::Media&) override {}
  void call(int, int, std::string_view, std::string_view, const chat::Signature&) override {}
  void arguments(int, int, std::string_view) override {}
  void logprobs(int choice, const json::Value& logprobs) override {
    if (output_.size() != end_at_ || last_choice_ != choice) text(choice, "");
    std::string document;
    json::Writer out(document);
    write_openai_completion_logprobs(out, logprobs, characters_[static_cast<std::size_t>(choice)].before);
    output_.replace(logprobs_at_, std::string_view("null").size(), document);
    end_at_ = std::string::npos;
  }
  void finish(int choice, chat::Finish finish, std::string_view) override {
    json::Writer out = open_chunk(choice);
    out.member("text", "").key("logprobs").null();
    write_openai_finish(out, finish);
    close_chunk();
    end_at_ = std::string::npos;
  }

 private:
  struct Characters {
    std::int64_t before = 0;  // the last piece of text
    std::int64_t all = 0;
  };
  std::vector<Characters> characters_;
  // Of the chunk written last: where its logprobs stand, and its end.
  std::size_t logprobs_at_ = 0, end_at_ = std::string::npos;
  int last_choice_ = 0;
};

}  // namespace

Result<chat::Request> OpenAiCompletionsCodec::read_request(std::string_view body) const {
  return read_openai_completion(body);
}

std::string OpenAiCompletionsCodec::write_answer(const chat::Request& request, const chat::Answer& answer) const {
  std::string text;
  json::Writer out(text);
  out.open_object().member("id", openai_answer_id(answer.id, request, kIdPrefix)).member("object", kObject);
  out.member("created", answer.created != 0 ? answer.created : request.created);
  out.member("model", answer.model.empty() ? request.model : answer.model);
  out.key("choices").open_array();
  std::int64_t index = 0;
  for (const chat::Choice& choice : answer.choices) {
    out.open_object().member("index", index++).member("text", text_of(choice)).key("logprobs");
    write_openai_completion_logprobs(out, choice.logprobs, 0);
    write_openai_finish(out, choice.finish);
    out.close_object();
  }
  out.close_array();
  if (answer.usage.known) write_openai_usage(out.key("usage"), answer.usage);
  if (!answer.system_fingerprint.empty()) out.member("system_fingerprint", answer.system_fingerprint);
  out.close_object();
  return text;
}

std::unique_ptr<chat::StreamWriter> OpenAiCompletionsCodec::stream_writer(const chat::Request& request) const {
  return std::make_unique<CompletionStreamWriter>(request);
}

std::string_view OpenAiCompletionsCodec::field_name(chat::Field field) const {
  return field == chat::Field::max_output_tokens ? "max_tokens" : openai_field_name(field);
}

std::string OpenAiCompletionsCodec::write_error(const chat::ProviderError& error) const {
  return openai_error_body(error);
}

}  // namespace penstock::ext
