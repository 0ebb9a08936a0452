#include "ext/apis/gemini/response_writer.h"

#include "base/text.h"
#include "ext/apis/gemini/response_parts.h"
#include "ext/apis/gemini/status_name.h"

namespace penstock::ext {
namespace {

// What is said of one candidate, until its last chunk.
struct Candidate {
  struct Call {
    std::string id, name, arguments;
    chat::Signature signature;
    bool told = false;
  };
  std::vector<Call> calls;
  std::size_t untold = 0;  // of the calls
  std::string unshown;     // a thought that nobody asked to see, until it turns out to be sealed
  std::string said;        // all of its text: citations count its bytes
  std::string citations;   // JSON objects with commas between them
  chat::Finish finish = chat::Finish::none;
  bool malformed = false;  // a call whose arguments are no object
};

// A call that is half a call because the answer was cut or blocked is not malformed.
std::string_view end_word(chat::Finish finish, bool malformed) {
  using chat::Finish;
  bool whole = finish == Finish::tool_calls || finish == Finish::stop || finish == Finish::none;
  return malformed && whole ? kMalformed : write_finish(chat::Family::gemini, finish);
}

class ResponseStream : public chat::StreamWriter {
 public:
  ResponseStream(const chat::Request& request, llm::Framing framing)
      : request_(request), framing_(framing), shows_thoughts_(request.reasoning.show == true) {}

  void begin(const chat::StreamHead& head) override {
    tail_ = head_fields(request_, head.id, head.model);
    (void)at(0);
  }

  void text(int choice, std::string_view text) override {
    if (text.empty()) return;
    Candidate& candidate = at(choice);
    tell_calls(choice, false);
    candidate.said += text;
    open(choice);
    append_text_part(output_, text);
    close(choice);
  }

  void citation(int choice, const chat::Citation& citation) override {
    Candidate& candidate = at(choice);
    append_citation(candidate.citations, citation, candidate.said);
  }

  void refusal(int choice, std::string_view text) override { this->text(choice, text); }

  void thinking(int choice, std::string_view text) override {
    if (text.empty()) return;
    Candidate& candidate = at(choice);
    tell_calls(choice, false);
    if (!shows_thoughts_) {
      candidate.unshown += text;
      return;
    }
    open(choice);
    append_thought_part(output_, text, {});
    close(choice);
  }

  void thinking_end(int choice, const chat::Signature& signature, bool redacted) override {
    Candidate& candidate = at(choice);
    std::string text = redacted ? std::string() : std::exchange(candidate.unshown, {});
    if (signature.empty()) return;
    tell_calls(choice, false);
    open(choice);
    append_thought_part(output_, text, signature, redacted);
    close(choice);
  }

  void media(int choice, const chat::Media& media) override {
    tell_calls(choice, false);
    open(choice);
    append_media_part(output_, media);
    close(choice);
  }

  void call(int choice, int call, std::string_view id, std::string_view name,
            const chat::Signature& signature) override {
    if (call < 0) return;
    Candidate& candidate = at(choice);
    auto index = static_cast<std::size_t>(call);
    if (candidate.calls.size() <= index) candidate.calls.resize(index + 1);
    candidate.calls[index] = {std::string(id), std::string(name), {}, signature};
    ++candidate.untold;
  }

  void arguments(int choice, int call, std::string_view fragment) override {
    auto& calls = at(choice).calls;
    if (call >= 0 && static_cast<std::size_t>(call) < calls.size())
      calls[static_cast<std::size_t>(call)].arguments += fragment;
  }

  void logprobs(int choice, const json::Value& logprobs) override {
    std::string result = logprobs_result(logprobs);
    if (result.empty()) return;
    open(choice);
    append_text_part(output_, "");
    base::append(output_, R"(],"role":"model"},"index":)", base::Digits(choice), R"(,"logprobsResult":)", result, "}]");
    finish_chunk();
  }

  void finish(int choice, chat::Finish finish, std::string_view) override {
    tell_calls(choice, true);
    at(choice).finish = finish;
  }

  void usage(const chat::Usage& usage) override { usage_ = usage; }

  void error(const chat::ProviderError& error) override {
    open_element();
    output_ += error_json(error.status, error.message);
    close_element();
    close_stream();
  }

  void end() override {
    open_element();
    output_ += R"({"candidates":[)";
    for (std::size_t i = 0; i < candidates_.size(); ++i) {
      Candidate& candidate = candidates_[i];
      output_ += i == 0 ? R"({"content":{"parts":[{"text":""}],"role":"model"})"
                        : R"(,{"content":{"parts":[{"text":""}],"role":"model"})";
      append_end(output_, end_word(candidate.finish, candidate.malformed), static_cast<int>(i), candidate.citations);
      output_ += '}';
    }
    output_ += ']';
    append_usage(output_, usage_);
    finish_chunk();
    close_stream();
  }

  std::string_view content_type() const override {
    return framing_ == llm::Framing::array ? "application/json; charset=utf-8" : StreamWriter::content_type();
  }
  // Between the elements of an array white space means nothing.
  std::string_view keep_alive() const override {
    return framing_ == llm::Framing::array ? "\n" : StreamWriter::keep_alive();
  }

 private:
  Candidate& at(int choice) {
    auto index = static_cast<std::size_t>(std::max(choice, 0));
    if (candidates_.size() <= index) candidates_.resize(index + 1);
    return candidates_[index];
  }

  // Calls go out whole and in their order. Before the end those go whose arguments are complete.
  void tell_calls(int choice, bool all) {
    Candidate& candidate = at(choice);
    if (candidate.untold == 0) return;
    for (Candidate::Call& call : candidate.calls) {
      if (call.told || call.name.empty()) continue;
      // None so far can still become some; and what is no whole object yet is not worth reading at every word.
      if (!all && !may_be_complete(call.arguments)) break;
      auto args = read_arguments(call.arguments);
      if (!args && !all) break;
      call.told = true;
      --candidate.untold;
      if (!args) {
        candidate.malformed = true;
        continue;
      }
      open(choice);
      append_call_part(output_, call.id, call.name, *args, call.signature);
      close(choice);
    }
  }

  void open(int choice) {
    (void)at(choice);
    open_element();
    output_ += R"({"candidates":[{"content":{"parts":[)";
  }
  void close(int choice) {
    base::append(output_, R"(],"role":"model"},"index":)", base::Digits(choice), "}]");
    finish_chunk();
  }
  void finish_chunk() {
    base::append(output_, tail_, "}");
    close_element();
  }
  void open_element() {
    if (framing_ == llm::Framing::array) {
      output_ += std::exchange(begun_, true) ? ",\r\n" : "[";
    } else {
      output_ += "data: ";
    }
  }
  void close_element() {
    if (framing_ != llm::Framing::array) output_ += "\n\n";
  }
  void close_stream() {
    if (framing_ == llm::Framing::array) output_ += "]";
  }

  const chat::Request& request_;
  llm::Framing framing_;
  bool shows_thoughts_;
  bool begun_ = false;
  std::string tail_;  // of every chunk: the answer's own fields
  std::vector<Candidate> candidates_;
  chat::Usage usage_;
};

// The parts of one choice, and what is to be told behind them.
struct Whole {
  std::string& out;
  bool shows_thoughts;
  std::string said = {};
  std::string citations = {};
  bool any = false;
  bool malformed = false;

  void comma() {
    if (std::exchange(any, true)) out += ',';
  }
  void operator()(const chat::Text& part) {
    said += part.text;
    for (const chat::Citation& citation : part.citations) append_citation(citations, citation, said);
    if (part.text.empty()) return;
    comma();
    append_text_part(out, part.text);
  }
  void operator()(const chat::Media& part) {
    comma();
    append_media_part(out, part);
  }
  void operator()(const chat::Thinking& part) {
    if (part.signature.empty() && (!shows_thoughts || part.text.empty())) return;
    comma();
    append_thought_part(out, part.text, part.signature, part.redacted);
  }
  void operator()(const chat::ToolCall& part) {
    auto args = read_arguments(part.arguments);
    if (!args) {
      malformed = true;
      return;
    }
    comma();
    append_call_part(out, part.id, part.name, *args, part.signature);
  }
  void operator()(const chat::ToolResult&) {}
  void operator()(const chat::Refusal& part) { (*this)(chat::Text{part.text}); }
};

}  // namespace

std::string write_response(const chat::Request& request, const chat::Answer& answer) {
  std::string out = R"({"candidates":[)";
  for (std::size_t i = 0; i < answer.choices.size(); ++i) {
    const chat::Choice& choice = answer.choices[i];
    out += i == 0 ? R"({"content":{"parts":[)" : R"(,{"content":{"parts":[)";
    Whole whole{out, request.reasoning.show == true};
    for (const chat::Part& part : choice.parts) std::visit(whole, part.content);
    out += R"(],"role":"model"})";
    append_end(out, end_word(choice.finish, whole.malformed), static_cast<int>(i), whole.citations);
    if (std::string result = logprobs_result(choice.logprobs); !result.empty())
      base::append(out, R"(,"logprobsResult":)", result);
    out += '}';
  }
  out += ']';
  append_usage(out, answer.usage);
  return out + head_fields(request, answer.id, answer.model) + '}';
}

std::unique_ptr<chat::StreamWriter> response_stream(const chat::Request& request, llm::Framing framing) {
  return std::make_unique<ResponseStream>(request, framing);
}

}  // namespace penstock::ext
