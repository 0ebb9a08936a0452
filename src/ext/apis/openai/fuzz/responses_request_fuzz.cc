// Bodies of the Responses API are strangers' words: they are read or refused, and what was read can be answered, whole
// and as a stream, with the same response in both.
#include <cstdlib>

#include "ext/apis/openai/kept_responses.h"
#include "ext/apis/openai/responses_codec.h"
#include "ext/apis/openai/responses_stream_writer.h"

namespace {

using namespace penstock;

void check(bool condition) {
  if (!condition) std::abort();
}

// What the client said, said back to it by the model.
chat::Answer answer_of(const chat::Request& request) {
  chat::Answer answer;
  chat::Choice choice;
  for (const chat::Message& message : request.messages) {
    for (const chat::Part& part : message.parts) choice.parts.push_back(part);
  }
  choice.finish = chat::Finish::stop;
  answer.choices.push_back(std::move(choice));
  return answer;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view body(reinterpret_cast<const char*>(data), size);
  (void)ext::kept_input(body, "resp_x");
  ext::ResponsesCodec codec(chat::Operation::responses);
  auto request = codec.read_request(body);
  if (!request) {
    check(!request.error().detail.empty());
    return 0;
  }
  request->id = "x";
  chat::Answer answer = answer_of(*request);
  std::string whole = codec.write_answer(*request, answer);
  check(json::parse(whole).has_value());
  ext::ResponsesStreamWriter writer(*request);
  chat::replay(answer, writer);
  check(writer.response() == whole);
  return 0;
}
