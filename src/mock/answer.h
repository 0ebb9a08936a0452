// A request's whole answer as bytes, ready to be paced out; and what stands in its place.
#pragma once

#include <expected>
#include <string>
#include <string_view>
#include <vector>

#include "json/value.h"
#include "mock/options.h"
#include "mock/traits.h"

namespace penstock::mock {

// What was wrong with a request: `param` names the field, empty when it is the body. `type` and `code` empty: what the
// dialect says by status.
struct Refusal {
  std::string message;
  std::string param = {};
  int status = 400;
  std::string type = {};
  std::string code = {};
};

struct Answer {
  struct Event {
    std::size_t end;  // in `bytes`
    bool token;
  };
  std::string model;
  Traits traits;  // of that model
  std::string content_type = "application/json";
  std::string fields;  // more lines of the head, each with CRLF
  std::string bytes;
  bool stream = false;
  bool changes = false;       // the same request may be answered otherwise next time
  std::vector<Event> events;  // of a stream
  std::string stream_error;   // what stands for an error in it, when not what the dialect says
  std::size_t tokens = 0;
};
using Answered = std::expected<Answer, Refusal>;

// One event of a stream: JSON, and the name it has where events have names.
struct Frame {
  std::string name;
  std::string data;
  bool token = false;
};
enum class Framing { sse, lines, array };

// Makes `answer` a stream of these, in the way its traits want it: line ends, comments and so on.
void append_frames(Answer& answer, const std::vector<Frame>& frames, Framing framing);
// A plain answer.
Answer document(const json::Value& value);

std::unexpected<Refusal> refuse(std::string message, std::string_view param = {}, int status = 400);

}  // namespace penstock::mock
