// A request's whole answer as bytes, ready to be paced out.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "mock/completion.h"

namespace penstock::mock {

struct Answer {
  struct Event {
    std::size_t end;  // in `bytes`
    bool token;
  };
  std::string model;
  std::string bytes;
  bool stream = false;
  std::vector<Event> events;  // of a stream
  std::size_t tokens = 0;
};

// `path` is one of the three POST paths; `body` as in complete_chat(). `usage` false leaves token counts out.
std::expected<Answer, Refusal> prepare(std::string_view path, std::string_view body, const Options& options,
                                       bool usage);

}  // namespace penstock::mock
