// The input items of a Responses request as messages.
#pragma once

#include <vector>

#include "chat/content.h"
#include "ext/apis/openai/object_reader.h"

namespace penstock::ext {

class ResponsesInput {
 public:
  // Adds to `messages`, which outlives this.
  explicit ResponsesInput(std::vector<chat::Message>& messages) : messages_(messages) {}

  // What a model says in several items is one message of its own, and so are the results of several calls. Items
  // without a counterpart are unread. `owner` has the items as its field `name`.
  void read(const json::Array& items, OpenAiObject& owner, std::string_view name);

 private:
  void read_item(const json::Value& value, const OpenAiPlace& place, OpenAiReading& reading);
  void read_message(OpenAiObject& item);
  void read_reasoning(OpenAiObject& item);
  void read_call(OpenAiObject& item);
  void read_generated_image(OpenAiObject& item);
  void read_call_output(OpenAiObject& item);
  void refuse_reference(OpenAiObject& item);
  void flush_seal();
  chat::Message& last_of(chat::Role role);

  std::vector<chat::Message>& messages_;
  chat::Signature seal_;  // of the call that comes next
};

}  // namespace penstock::ext
