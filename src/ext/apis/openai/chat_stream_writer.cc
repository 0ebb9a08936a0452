#include "ext/apis/openai/chat_stream_writer.h"

#include <utility>

#include "ext/apis/openai/answer_text.h"

namespace penstock::ext {

OpenAiChatStreamWriter::State& OpenAiChatStreamWriter::at(int choice) {
  auto index = static_cast<std::size_t>(choice);
  if (states_.size() <= index) states_.resize(index + 1);
  return states_[index];
}

json::Writer OpenAiChatStreamWriter::open_delta(int choice, bool without_text) {
  json::Writer out = open_chunk(choice);
  output_ += R"(,"delta":{)";
  if (!std::exchange(at(choice).begun, true)) {
    output_ += without_text ? R"("role":"assistant","content":null)" : R"("role":"assistant")";
  }
  last_choice_ = choice;
  return out;
}

void OpenAiChatStreamWriter::close_delta() {
  output_ += R"(},"logprobs":)";
  logprobs_at_ = output_.size();
  output_ += R"(null,"finish_reason":null)";
  close_chunk();
  end_at_ = output_.size();
}

void OpenAiChatStreamWriter::text(int choice, std::string_view text) {
  open_delta(choice, false).member("content", text);
  close_delta();
  at(choice).characters += count_openai_characters(text);
}

void OpenAiChatStreamWriter::citation(int choice, const chat::Citation& citation) {
  if (citation.url.empty()) return;
  json::Writer out = open_delta(choice);
  write_openai_citation(out.key("annotations").open_array(), citation, at(choice).characters);
  out.close_array();
  close_delta();
}

void OpenAiChatStreamWriter::refusal(int choice, std::string_view text) {
  open_delta(choice).member("refusal", text);
  close_delta();
}

void OpenAiChatStreamWriter::thinking(int choice, std::string_view text) {
  open_delta(choice).member("reasoning_content", text);
  close_delta();
  at(choice).thought += text;
}

void OpenAiChatStreamWriter::thinking_end(int choice, const chat::Signature& signature, bool redacted) {
  std::string thought = redacted ? std::string() : std::exchange(at(choice).thought, {});
  if (signature.empty()) return;
  json::Writer out = open_delta(choice);
  write_openai_thinking(out.key("thinking_blocks").open_array(), thought, signature, redacted);
  out.close_array();
  close_delta();
}

void OpenAiChatStreamWriter::media(int choice, const chat::Media& media) {
  if (media.kind == chat::Media::Kind::image) {
    json::Writer out = open_delta(choice);
    write_openai_image(out.key("images").open_array(), media);
    out.close_array();
    close_delta();
  } else if (media.kind == chat::Media::Kind::audio) {
    json::Writer out = open_delta(choice);
    write_openai_audio(out, media, id());
    close_delta();
  }
}

void OpenAiChatStreamWriter::call(int choice, int call, std::string_view id, std::string_view name,
                                  const chat::Signature& signature) {
  json::Writer out = open_delta(choice);
  out.key("tool_calls").open_array().open_object().member("index", call).member("id", id).member("type", "function");
  out.key("function").open_object().member("name", name).member("arguments", "").close_object();
  write_openai_signature(out, signature);
  out.close_object().close_array();
  close_delta();
}

void OpenAiChatStreamWriter::arguments(int choice, int call, std::string_view fragment) {
  json::Writer out = open_delta(choice);
  out.key("tool_calls").open_array().open_object().member("index", call);
  out.key("function").open_object().member("arguments", fragment).close_object().close_object().close_array();
  close_delta();
}

void OpenAiChatStreamWriter::logprobs(int choice, const json::Value& logprobs) {
  if (output_.size() != end_at_ || last_choice_ != choice) {
    open_delta(choice);
    close_delta();
  }
  output_.replace(logprobs_at_, std::string_view("null").size(), json::dump(logprobs));
  end_at_ = std::string::npos;
}

void OpenAiChatStreamWriter::finish(int choice, chat::Finish finish, std::string_view) {
  if (!at(choice).begun) text(choice, "");
  json::Writer out = open_delta(choice);
  out.close_object().key("logprobs").null();
  write_openai_finish(out, finish);
  close_chunk();
  end_at_ = std::string::npos;
}

}  // namespace penstock::ext
