#include "ext/apis/ollama/answer_writer.h"

#include "base/clock.h"
#include "base/text.h"
#include "json/cursor.h"

namespace penstock::ext {
namespace {

// What the provider said went wrong when all it said is that something did.
constexpr std::string_view kFailed = "the model failed to finish its answer";

struct Call {
  std::string id;
  std::string name;
  std::string arguments;
};

// What one line, or the whole answer, says.
struct Piece {
  std::string_view content = {};
  std::string_view thinking = {};
  const std::vector<Call>* calls = nullptr;
  const std::vector<std::string>* images = nullptr;
  const json::Value* logprobs = nullptr;  // OpenAI's {"content": [...]}, whose entries are Ollama's
};

// The end of an answer. Times are left out: a gateway does not know how long another's model took for what.
struct End {
  std::string_view reason;
  chat::Usage usage;
};

bool is_object(std::string_view text) {
  json::Cursor cursor(text);
  return cursor.peek() == json::Cursor::Kind::object && cursor.skip() && cursor.finish();
}

// The calls that can be written: Ollama has arguments as an object, and those of a call that was cut off are none.
void write_calls(const std::vector<Call>& calls, std::string& out) {
  std::size_t count = 0;
  for (const Call& call : calls) {
    if (!is_object(call.arguments)) continue;
    out += count == 0 ? R"(,"tool_calls":[{"id":)" : R"(,{"id":)";
    json::append_quoted(out, call.id);
    base::append(out, R"(,"function":{"index":)", base::Digits(count++), R"(,"name":)");
    json::append_quoted(out, call.name);
    out += ",\"arguments\":";
    std::size_t begin = out.size();
    out += call.arguments;
    // Line ends can only stand between the values, and would end the line.
    for (std::size_t i = begin; i < out.size(); ++i) {
      if (out[i] == '\n' || out[i] == '\r') out[i] = ' ';
    }
    out += "}}";
  }
  if (count > 0) out += ']';
}

class LineWriter {
 public:
  // `created` in seconds since 1970.
  LineWriter(OllamaForm form, std::string_view model, std::int64_t created) : chat_(form == OllamaForm::chat) {
    begin_ = "{\"model\":";
    json::append_quoted(begin_, model);
    base::append(begin_, ",\"created_at\":\"", base::to_rfc3339(created * 1'000'000),
                 chat_ ? R"(","message":{"role":"assistant","content":")" : R"(","response":")");
  }

  // Without a line end. `end` null: more follows.
  void write(const Piece& piece, const End* end, std::string& out) const {
    out += begin_;
    json::append_escaped(out, piece.content);
    out += '"';
    if (!piece.thinking.empty()) {
      out += ",\"thinking\":\"";
      json::append_escaped(out, piece.thinking);
      out += '"';
    }
    if (piece.images != nullptr && !piece.images->empty()) write_images(*piece.images, out);
    if (piece.calls != nullptr) write_calls(*piece.calls, out);
    if (chat_) out += '}';
    out += end == nullptr ? ",\"done\":false" : ",\"done\":true";
    if (end != nullptr) write_end(*end, out);
    if (piece.logprobs != nullptr) write_logprobs(*piece.logprobs, out);
    out += '}';
  }

 private:
  // Messages have a list of images, the answers of /api/generate have one.
  void write_images(const std::vector<std::string>& images, std::string& out) const {
    if (!chat_) {
      base::append(out, ",\"image\":\"", images.front(), "\"");
      return;
    }
    for (std::size_t i = 0; i < images.size(); ++i)
      base::append(out, i == 0 ? ",\"images\":[\"" : ",\"", images[i], "\"");
    out += ']';
  }
  static void write_end(const End& end, std::string& out) {
    if (!end.reason.empty()) base::append(out, ",\"done_reason\":\"", end.reason, "\"");
    if (!end.usage.known) return;
    base::append(out, ",\"prompt_eval_count\":", base::Digits(end.usage.input),
                 ",\"eval_count\":", base::Digits(end.usage.output));
  }
  static void write_logprobs(const json::Value& logprobs, std::string& out) {
    const json::Value* content = json::find(logprobs, "content");
    if (content == nullptr || !content->is_array()) return;
    base::append(out, ",\"logprobs\":", json::dump(*content));
  }

  bool chat_;
  std::string begin_;  // up to the text
};

class OllamaStreamWriter : public chat::StreamWriter {
 public:
  OllamaStreamWriter(OllamaForm form, const chat::Request& request)
      : form_(form), request_(request), lines_(form, request.model, request.created) {}
  std::string_view content_type() const override { return "application/x-ndjson"; }
  std::string_view keep_alive() const override { return {}; }

  void begin(const chat::StreamHead& head) override {
    lines_ = LineWriter(form_, head.model.empty() ? request_.model : head.model,
                        head.created == 0 ? request_.created : head.created);
  }
  void text(int choice, std::string_view text) override { add(choice, {.content = text}); }
  void citation(int, const chat::Citation&) override {}
  void refusal(int choice, std::string_view text) override { add(choice, {.content = text}); }
  void thinking(int choice, std::string_view text) override { add(choice, {.thinking = text}); }
  void thinking_end(int, const chat::Signature&, bool) override {}
  void media(int choice, const chat::Media& media) override {
    if (media.data.empty()) return;
    std::vector<std::string> images{media.data};
    add(choice, {.images = &images});
  }
  void call(int choice, int call, std::string_view id, std::string_view name, const chat::Signature&) override {
    if (choice != 0) return;
    auto index = static_cast<std::size_t>(call);
    if (calls_.size() <= index) calls_.resize(index + 1);
    calls_[index].id = id;
    calls_[index].name = name;
  }
  void arguments(int choice, int call, std::string_view fragment) override {
    auto index = static_cast<std::size_t>(call);
    if (choice == 0 && index < calls_.size()) calls_[index].arguments += fragment;
  }
  void logprobs(int choice, const json::Value& logprobs) override { add(choice, {.logprobs = &logprobs}); }
  // Calls go out whole, in one line, which can only be when nothing of them is missing.
  void finish(int choice, chat::Finish finish, std::string_view) override {
    if (choice != 0) return;
    finish_ = finish;
    if (std::ranges::any_of(calls_, [](const Call& call) { return is_object(call.arguments); }))
      add(choice, {.calls = &calls_});
  }
  void usage(const chat::Usage& usage) override { usage_ = usage; }
  void error(const chat::ProviderError& error) override { fail(error.message); }
  void end() override {
    if (finish_ == chat::Finish::error) return fail(kFailed);
    End end{chat::write_finish(chat::Family::ollama, finish_), usage_};
    lines_.write({}, &end, output_);
    output_ += '\n';
  }

 private:
  // Ollama has one choice.
  void add(int choice, const Piece& piece) {
    if (choice != 0) return;
    lines_.write(piece, nullptr, output_);
    output_ += '\n';
  }
  void fail(std::string_view message) { base::append(output_, write_ollama_error(message), "\n"); }

  OllamaForm form_;
  const chat::Request& request_;
  LineWriter lines_;
  std::vector<Call> calls_;
  chat::Finish finish_ = chat::Finish::none;
  chat::Usage usage_;
};

// The parts of a whole answer, put together.
struct Collected {
  std::string content;
  std::string thinking;
  std::vector<Call> calls;
  std::vector<std::string> images;

  void operator()(const chat::Text& part) { content += part.text; }
  void operator()(const chat::Refusal& part) { content += part.text; }
  void operator()(const chat::Thinking& part) { thinking += part.text; }
  void operator()(const chat::Media& part) {
    if (!part.data.empty()) images.push_back(part.data);
  }
  void operator()(const chat::ToolCall& part) { calls.push_back({part.id, part.name, part.arguments}); }
  void operator()(const chat::ToolResult&) {}
};

}  // namespace

std::string write_ollama_answer(OllamaForm form, const chat::Request& request, const chat::Answer& answer) {
  static const chat::Choice kNothing;
  const chat::Choice& choice = answer.choices.empty() ? kNothing : answer.choices.front();
  if (choice.finish == chat::Finish::error) return write_ollama_error(kFailed);
  Collected all;
  for (const chat::Part& part : choice.parts) std::visit(all, part.content);
  End end{chat::write_finish(chat::Family::ollama, choice.finish), answer.usage};
  Piece piece{.content = all.content,
              .thinking = all.thinking,
              .calls = &all.calls,
              .images = &all.images,
              .logprobs = choice.logprobs.is_null() ? nullptr : &choice.logprobs};
  std::string out;
  LineWriter(form, answer.model.empty() ? request.model : answer.model,
             answer.created == 0 ? request.created : answer.created)
      .write(piece, &end, out);
  return out;
}

std::string write_ollama_load(OllamaForm form, const chat::Request& request, bool unload) {
  End end{unload ? "unload" : "load", {}};
  std::string out;
  LineWriter(form, request.model, request.created).write({}, &end, out);
  return out;
}

std::unique_ptr<chat::StreamWriter> make_ollama_stream_writer(OllamaForm form, const chat::Request& request) {
  return std::make_unique<OllamaStreamWriter>(form, request);
}

std::string write_ollama_error(std::string_view message) {
  std::string out = "{\"error\":";
  json::append_quoted(out, message);
  return out += '}';
}

}  // namespace penstock::ext
