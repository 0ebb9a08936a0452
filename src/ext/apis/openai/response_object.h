// The response object of OpenAI's Responses API and what its output is made of, as JSON text.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "chat/request.h"
#include "chat/stream.h"
#include "json/writer.h"

namespace penstock::ext {

// What an answer's ending is called: a status, and why it is incomplete (empty: it is not).
struct ResponseEnding {
  std::string_view status;
  std::string_view incomplete = {};
};
ResponseEnding ending_of(chat::Finish finish);

class ResponseObject {
 public:
  // Ids are made from the request's; echo's member "id" takes its place where whoever read the request has put one.
  explicit ResponseObject(const chat::Request& request);

  void begin(const chat::StreamHead& head);
  // "resp_ID".
  std::string id() const { return "resp_" + seed_; }
  // "msg_ID_2": of the item of this kind at this place of the output.
  std::string item_id(std::string_view kind, std::size_t index) const;
  // `items` are whole; empty ones are left out. `error` null: there was none.
  std::string write(const ResponseEnding& ending, const chat::ProviderError* error, std::span<const std::string> items,
                    const chat::Usage& usage) const;

 private:
  const chat::Request& request_;
  std::string seed_;
  std::string model_;
  std::int64_t created_ = 0;
  std::string service_tier_;
};

// Items. `parts` are whole, with commas between them.
std::string message_item(std::string_view id, std::string_view status, std::string_view parts);
std::string call_item(std::string_view id, std::string_view status, std::string_view call_id, std::string_view name,
                      std::string_view arguments);
// Without a summary when `text` is null.
std::string reasoning_item(std::string_view id, const std::string* text, const chat::Signature& signature);
std::string image_item(std::string_view id, std::string_view status, std::string_view base64);

// Parts.
std::string output_text(std::string_view text, std::string_view annotations, const json::Array& logprobs);
std::string refusal_part(std::string_view text);
std::string summary_part(std::string_view text);
// Positions are in characters of the part, which has `length` of them and begins `offset` into the answer's text.
std::string annotation_of(const chat::Citation& citation, std::int64_t offset, std::int64_t length);

// The entries of a choice's logprobs with every member that the API promises.
json::Array response_logprobs(const json::Value& logprobs);

}  // namespace penstock::ext
