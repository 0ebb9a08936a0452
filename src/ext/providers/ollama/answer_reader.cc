#include "ext/providers/ollama/answer_reader.h"

#include <charconv>
#include <chrono>

#include "chat/data_url.h"
#include "chat/turns.h"
#include "json/cursor.h"

namespace penstock::ext {
namespace {

using json::find;
using json::string_or;

std::unexpected<Error> malformed(std::string_view what) {
  return fail(Errc::protocol_error, fmt::format("the provider's answer is not Ollama's: {}", what));
}

// Seconds since 1970 of an RFC 3339 time; 0 for what is none.
std::int64_t read_time(std::string_view text) {
  constexpr std::string_view kForm = "dddd-dd-ddTdd:dd:dd";
  if (text.size() <= kForm.size()) return 0;
  for (std::size_t i = 0; i < kForm.size(); ++i) {
    bool digit = text[i] >= '0' && text[i] <= '9';
    if (kForm[i] == 'd' ? !digit : text[i] != kForm[i]) return 0;
  }
  auto at = [&](std::size_t begin, std::size_t digits) {
    int value = 0;
    for (char c : text.substr(begin, digits)) value = value * 10 + (c - '0');
    return value;
  };
  std::chrono::year_month_day day(std::chrono::year(at(0, 4)), std::chrono::month(static_cast<unsigned>(at(5, 2))),
                                  std::chrono::day(static_cast<unsigned>(at(8, 2))));
  if (!day.ok()) return 0;
  std::int64_t seconds = std::chrono::sys_days(day).time_since_epoch().count() * std::int64_t{86400} +
                         at(11, 2) * 3600 + at(14, 2) * 60 + at(17, 2);
  // A zone: Z, or +02:00 at the end.
  std::string_view zone = text.substr(text.size() < 6 ? 0 : text.size() - 6);
  if (zone[0] != '+' && zone[0] != '-') return seconds;
  std::size_t begin = text.size() - 6;
  for (std::size_t i : {1U, 2U, 4U, 5U}) {
    if (zone[i] < '0' || zone[i] > '9') return 0;
  }
  std::int64_t offset = at(begin + 1, 2) * 3600 + at(begin + 4, 2) * 60;
  return zone[0] == '+' ? seconds - offset : seconds + offset;
}

std::int64_t count_of(const json::Value& value, std::string_view name) {
  constexpr std::int64_t kTokensMax = 1'000'000'000;  // beyond any context, and safe to add up
  std::int64_t count = json::int_or(value, name, 0);
  return count >= 0 && count <= kTokensMax ? count : 0;
}

// A prompt that was in the provider's cache already has no count.
chat::Usage usage_of(const json::Value& value) {
  chat::Usage usage;
  usage.known = find(value, "prompt_eval_count") != nullptr || find(value, "eval_count") != nullptr;
  usage.input = count_of(value, "prompt_eval_count");
  usage.input_known = !usage.known || find(value, "prompt_eval_count") != nullptr;
  usage.output = count_of(value, "eval_count");
  return usage;
}

const json::Array* list_at(const json::Value& value, std::string_view name) {
  const json::Value* found = find(value, name);
  return found != nullptr && found->is_array() ? &found->get_array() : nullptr;
}

Result<void> read_call(const chat::Request& request, const json::Value& call, int index, chat::StreamSink& sink) {
  const json::Value* function = find(call, "function");
  std::string_view name = function == nullptr ? std::string_view() : string_or(*function, "name", "");
  if (name.empty()) return malformed("message.tool_calls: a call without function.name");
  std::string_view id = string_or(call, "id", "");
  sink.call(0, index, id.empty() ? chat::make_call_id(request.id, 0, index, name) : std::string(id), name, {});
  const json::Value* arguments = find(*function, "arguments");
  if (arguments == nullptr || arguments->is_null()) {
    sink.arguments(0, index, "{}");
  } else if (arguments->is_object()) {
    sink.arguments(0, index, json::dump(*arguments));
  } else {
    return malformed("message.tool_calls: function.arguments must be an object");
  }
  return {};
}

void read_images(const json::Value& message, chat::StreamSink& sink) {
  const json::Array* images = list_at(message, "images");
  if (images == nullptr) return;
  for (const json::Value& image : *images) {
    if (!image.is_string()) continue;
    chat::Media media;
    media.data = image.get_string();
    media.type = chat::sniff_media_type(media.data);
    sink.media(0, media);
  }
}

// What the message of one line, or of a whole answer, says. `calls` counts on.
Result<void> read_message(const chat::Request& request, const json::Value& line, int& calls, chat::StreamSink& sink) {
  const json::Value* message = find(line, "message");
  if (message == nullptr || !message->is_object()) return malformed("message: must be an object");
  std::string_view thinking = string_or(*message, "thinking", "");
  // Ollama shows what its models think whether or not somebody wants to see it.
  if (!thinking.empty() && request.reasoning.show != false) sink.thinking(0, thinking);
  if (std::string_view content = string_or(*message, "content", ""); !content.empty()) sink.text(0, content);
  if (const json::Array* logprobs = list_at(line, "logprobs"); logprobs != nullptr && !logprobs->empty())
    sink.logprobs(0, json::Object{{"content", *logprobs}});
  read_images(*message, sink);
  if (const json::Array* all = list_at(*message, "tool_calls")) {
    for (const json::Value& call : *all) {
      if (auto read = read_call(request, call, calls++, sink); !read) return read;
    }
  }
  return {};
}

void read_end(const json::Value& line, int calls, chat::StreamSink& sink) {
  chat::Finish finish = chat::read_finish(chat::Family::ollama, string_or(line, "done_reason", ""), calls > 0);
  if (finish != chat::Finish::none) sink.finish(0, finish, {});
  if (chat::Usage usage = usage_of(line); usage.known) sink.usage(usage);
  sink.end();
}

void read_head(const json::Value& line, chat::StreamSink& sink) {
  sink.begin(
      {.id = {}, .model = string_or(line, "model", ""), .created = read_time(string_or(line, "created_at", ""))});
}

bool reports_error(const json::Value& value) {
  const json::Value* error = find(value, "error");
  return error != nullptr && !error->is_null();
}

}  // namespace

std::string ollama_error_text(const json::Value& value) {
  const json::Value* error = find(value, "error");
  if (error == nullptr) return {};
  if (error->is_string()) return std::string(error->get_string());
  return std::string(string_or(*error, "message", ""));
}

Result<chat::Answer> read_ollama_answer(const chat::Request& request, std::string_view body) {
  auto parsed = json::parse(body);
  if (!parsed) return malformed(parsed.error().detail);
  if (!parsed->is_object()) return malformed("it must be an object");
  if (reports_error(*parsed))
    return fail(Errc::protocol_error, "the provider reported an error: " + ollama_error_text(*parsed));
  chat::AnswerCollector collector;
  int calls = 0;
  read_head(*parsed, collector);
  if (auto read = read_message(request, *parsed, calls, collector); !read) return std::unexpected(read.error());
  if (!json::bool_or(*parsed, "done", false)) return malformed("done: must be true");
  read_end(*parsed, calls, collector);
  if (collector.answer().choices.empty()) collector.answer().choices.emplace_back();
  return std::move(collector.answer());
}

Result<chat::EmbeddingsAnswer> read_ollama_embeddings(const chat::EmbeddingsRequest& request, std::string_view body) {
  chat::EmbeddingsAnswer answer;
  json::Cursor in(body);
  std::string_view name;
  if (in.open_object()) {
    while (in.next_member(name)) {
      if (name == "model" && in.peek() == json::Cursor::Kind::string) {
        in.read_string(answer.model);
      } else if (name == "prompt_eval_count" && in.peek() == json::Cursor::Kind::number) {
        answer.usage.known = in.read_number(answer.usage.input);
      } else if (name == "embeddings" && in.peek() == json::Cursor::Kind::array) {
        in.open_array();
        while (in.next_element()) {
          auto& vector = answer.vectors.emplace_back();
          float value = 0;
          if (!in.open_array()) break;
          while (in.next_element() && in.read_number(value)) vector.push_back(value);
        }
      } else {
        in.skip();
      }
    }
  }
  if (!in.finish()) return malformed(in.error());
  if (answer.vectors.size() != request.texts.size()) {
    return malformed(
        fmt::format("embeddings: there are {} vectors for {} texts", answer.vectors.size(), request.texts.size()));
  }
  answer.usage.input = std::max<std::int64_t>(answer.usage.input, 0);
  return answer;
}

Result<void> OllamaStreamReader::feed(std::string_view bytes, chat::StreamSink& sink) {
  if (ended_) return {};
  if (!lines_.feed(bytes)) return fail(Errc::protocol_error, "the provider sent a line larger than 8 MiB");
  while (auto line = lines_.next()) {
    if (auto read = read_line(*line, sink); !read) return read;
  }
  return {};
}

Result<void> OllamaStreamReader::finish(chat::StreamSink& sink) {
  if (ended_) return {};
  if (auto line = lines_.last()) {
    if (auto read = read_line(*line, sink); !read) return read;
  }
  if (!ended_) return fail(Errc::data_loss, "the stream ended before its last line, the one with \"done\":true");
  return {};
}

Result<void> OllamaStreamReader::read_line(std::string_view line, chat::StreamSink& sink) {
  if (ended_) return {};
  auto parsed = json::parse(line);
  if (!parsed) return malformed(parsed.error().detail);
  if (!parsed->is_object()) return malformed("a line must be an object");
  if (reports_error(*parsed)) {
    ended_ = true;
    sink.error({.status = 502, .type = "server_error", .message = ollama_error_text(*parsed)});
    return {};
  }
  if (!std::exchange(begun_, true)) read_head(*parsed, sink);
  if (auto read = read_message(request_, *parsed, calls_, sink); !read) return read;
  if (!json::bool_or(*parsed, "done", false)) return {};
  ended_ = true;
  read_end(*parsed, calls_, sink);
  return {};
}

}  // namespace penstock::ext
