// The tokens that an answer reports which nobody reads otherwise: JSON, or events with JSON in them, of any size.
#pragma once

#include <string>
#include <string_view>

#include "chat/answer.h"

namespace penstock::llm {

class UsageReader {
 public:
  // By the type of the answer's content: sound and pictures report nothing.
  explicit UsageReader(std::string_view content_type);
  // The next bytes of the answer.
  void feed(std::string_view bytes);
  // After the last: what the object `usage` at the top of the answer, or in the last event that has one, says. Of an
  // answer of more than 256 KiB only the end is looked at, where providers put it.
  chat::Usage read() const;
  // How many the list `data` of such an answer has; 0: of one that is longer than that, or has none.
  std::int64_t pictures() const;

 private:
  bool json_ = false;
  bool events_ = false;
  bool cut_ = false;  // the beginning was let go
  std::string held_;
};

}  // namespace penstock::llm
