// An answer as a stream of OpenAI's Responses API: https://platform.openai.com/docs/api-reference/responses-streaming
#pragma once

#include <vector>

#include "chat/request.h"
#include "chat/stream.h"
#include "ext/apis/openai/response_object.h"

namespace penstock::ext {

// Whole answers are made by the same steps without the events. Only the first choice is shown: the API has no others.
class ResponsesStreamWriter : public chat::StreamWriter {
 public:
  enum class Events : bool { none, all };
  // `request` outlives the writer.
  explicit ResponsesStreamWriter(const chat::Request& request, Events events = Events::all)
      : request_(request), events_(events == Events::all), object_(request) {}

  void begin(const chat::StreamHead& head) override;
  void text(int choice, std::string_view text) override;
  void citation(int choice, const chat::Citation& citation) override;
  void refusal(int choice, std::string_view text) override;
  void thinking(int choice, std::string_view text) override;
  void thinking_end(int choice, const chat::Signature& signature, bool redacted) override;
  void media(int choice, const chat::Media& media) override;
  void call(int choice, int call, std::string_view id, std::string_view name,
            const chat::Signature& signature) override;
  void arguments(int choice, int call, std::string_view fragment) override;
  void logprobs(int choice, const json::Value& logprobs) override;
  void finish(int choice, chat::Finish finish, std::string_view stop_sequence) override;
  void usage(const chat::Usage& usage) override { usage_ = usage; }
  void error(const chat::ProviderError& error) override;
  void end() override;

  // Those of a whole answer's text, before it is written.
  void take_logprobs(const json::Value& logprobs) { logprobs_ = response_logprobs(logprobs); }
  // After end() or error(): the whole response.
  const std::string& response() const { return response_; }

 private:
  // What is being said: a thought, or a part of a message.
  enum class Open : std::uint8_t { nothing, thought, text, refusal };
  struct Call {
    std::size_t index = 0;  // of its item
    std::string id, call_id, name, arguments;
    std::string middle;  // of its delta events
  };

  template <class F>
  void event(std::string_view type, F members);
  void lifecycle_event(std::string_view type, const std::string& response);
  void item_event(std::string_view type, std::size_t index, std::string_view item);
  void delta(std::string_view type, std::string_view middle, std::string_view text, std::string_view tail);
  void part_members(json::Writer& out) const;

  std::size_t new_item();
  void open_thought();
  void close_thought(const chat::Signature& signature);
  void add_hidden_thought(const chat::Signature& signature);
  void open_part(Open what);
  void close_part();
  void give_held_text();
  void close_message(std::string_view status);
  void close_calls(std::string_view last_status);
  void close_said(std::string_view status);
  void close_all(std::string_view last_status);
  void conclude(const ResponseEnding& ending, const chat::ProviderError* error);

  const chat::Request& request_;
  const bool events_;
  ResponseObject object_;
  std::int64_t sequence_ = 0;
  bool over_ = false;
  chat::Finish finish_ = chat::Finish::none;
  chat::Usage usage_;
  std::vector<std::string> items_;  // empty while they are open
  std::string response_;

  Open open_ = Open::nothing;
  bool in_message_ = false;
  std::size_t item_ = 0;  // the thought or message
  std::string item_id_;
  std::size_t part_ = 0;  // of the message
  std::string parts_;     // that are done
  std::string text_;
  std::string middle_;  // of the delta events
  std::string annotations_;
  std::int64_t annotation_count_ = 0;
  std::int64_t text_begin_ = 0;  // where the part begins in the answer's text, in characters
  json::Array logprobs_;         // of the part
  std::string held_;             // text whose logprobs may still come
  json::Array held_logprobs_;
  std::vector<Call> calls_;
  std::size_t calls_done_ = 0;
};

}  // namespace penstock::ext
