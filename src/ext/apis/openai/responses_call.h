// The codec of one call of the Responses API whose answer may be kept.
#pragma once

#include <string>

#include "ext/apis/openai/responses_codec.h"
#include "store/response_store.h"

namespace penstock::ext {

class ResponsesCall : public ResponsesCodec {
 public:
  struct Terms {
    std::string seed;                       // of the response's id, which is "resp_" and this
    std::string key;                        // whose it is
    std::string previous;                   // the response it follows; empty: none, or a provider knows it
    std::string input;                      // its own, as JSON text
    store::ResponseStore* store = nullptr;  // null: the answer is not kept
  };
  ResponsesCall(chat::Operation operation, Terms terms) : ResponsesCodec(operation), terms_(std::move(terms)) {}

  Result<chat::Request> read_request(std::string_view body) const override;
  std::string write_answer(const chat::Request& request, const chat::Answer& answer) const override;
  std::unique_ptr<chat::StreamWriter> stream_writer(const chat::Request& request) const override;

  // Before the client sees the last of it, so that a call that goes on from it finds it.
  void keep(const std::string& response) const;
  // The same for an answer that the provider keeps: whole, or the first event of a stream.
  void keep_native(std::string_view provider, std::string_view answer) const;

 private:
  Terms terms_;
};

}  // namespace penstock::ext
