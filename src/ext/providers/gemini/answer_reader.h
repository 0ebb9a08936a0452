// GenerateContentResponse of the Gemini API: a whole answer is one, a stream is many.
#pragma once

#include <map>

#include "chat/request.h"
#include "chat/stream.h"
#include "wire/sse.h"

namespace penstock::ext {

chat::Usage read_usage(const json::Value& response);
// {"error": {...}}, alone or in a list; an empty message when it is neither.
chat::ProviderError read_gemini_error(int status, std::string_view body);

// Tells a sink what the pieces of one answer hold. Reasons and the end are told by end(): some servers give a reason in
// every piece.
class AnswerReader {
 public:
  // The request gives the id of an answer that has none.
  explicit AnswerReader(const chat::Request& request) : request_(request) {}
  Result<void> piece(std::string_view text, chat::StreamSink& sink);
  // An error when candidates did not end.
  Result<void> end(chat::StreamSink& sink);
  bool failed() const { return failed_; }

 private:
  struct Candidate {
    int calls = 0;
    bool thinking = false;  // its last part was a thought that is not sealed
    std::string reason;
  };
  void begin(const json::Value& response, chat::StreamSink& sink);
  Result<void> candidate(const json::Value& from, int index, chat::StreamSink& sink);
  Result<void> part(const json::Value& from, int index, chat::StreamSink& sink);
  Result<void> call(const json::Value& from, const chat::Signature& signature, int index, chat::StreamSink& sink);

  const chat::Request& request_;
  bool begun_ = false;
  bool failed_ = false;
  bool blocked_ = false;  // the prompt, so that there are no candidates
  std::string id_;
  std::map<int, Candidate> candidates_;
};

class GeminiStreamReader : public chat::StreamReader {
 public:
  explicit GeminiStreamReader(const chat::Request& request) : answer_(request) {}
  Result<void> feed(std::string_view bytes, chat::StreamSink& sink) override;
  Result<void> finish(chat::StreamSink& sink) override;

 private:
  Result<void> event(const wire::SseEvent& event, chat::StreamSink& sink);
  wire::SseSplitter splitter_;
  AnswerReader answer_;
};

}  // namespace penstock::ext
