// Adds up what a chat's input is in tokens, piece by piece as a request is walked through: for the counters of this
// module. One thread at a time.
#pragma once

#include <cstdint>
#include <string_view>

#include "chat/request.h"
#include "token/encoding.h"

namespace penstock::token {

// What of an input depends on the words, and what does not.
struct InputSize {
  std::int64_t text_bytes = 0;  // of which the tokens are not known, only estimated
  std::int64_t tokens = 0;      // counted: texts where there is an encoding, overheads and media always
};

class Tally {
 public:
  // Without an encoding texts add to text_bytes. `model`: for media. Both outlive it.
  Tally(const Encoding* encoding, std::string_view model) : encoding_(encoding), model_(model) {}

  void text(std::string_view text) {
    if (encoding_ == nullptr) {
      size_.text_bytes += static_cast<std::int64_t>(text.size());
    } else {
      size_.tokens += static_cast<std::int64_t>(encoding_->count(text));
    }
  }
  void tokens(std::int64_t tokens) { size_.tokens += tokens; }
  void media(const chat::Media& media);
  // Before anything of a message: its frame and the word for the role, which is one token in every encoding.
  void message() { size_.tokens += kPerMessage + 1; }
  void name(std::string_view name) {
    text(name);
    size_.tokens += kPerName;
  }
  void call(std::string_view name, std::string_view arguments) {
    text(name);
    text(arguments);
    size_.tokens += kPerCall;
  }

  const InputSize& size() const { return size_; }

  // OpenAI's cookbook, "How to count tokens with tiktoken": each message, each name, and what begins the answer.
  static constexpr std::int64_t kPerMessage = 3, kPerName = 1, kPriming = 3;
  // Of functions, as the API counts: each call, the definitions as a whole, what they save beside instructions, a
  // choice of one and of none, and what a result saves beside other messages.
  static constexpr std::int64_t kPerCall = 3, kFunctions = 9, kBesideInstructions = -4;
  static constexpr std::int64_t kChoiceOfOne = 4, kChoiceOfNone = 1, kLegacyResult = -2;

 private:
  const Encoding* encoding_;
  std::string_view model_;
  InputSize size_;
};

}  // namespace penstock::token
