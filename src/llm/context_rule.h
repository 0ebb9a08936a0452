// What a route does with calls that are too long for a model: the configuration `context:`.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "config/document.h"
#include "llm/trimming.h"

namespace penstock::llm {

struct ContextRule {
  // Tokens that input and answer have together; 0: what the price catalog knows of the target, and targets it knows
  // nothing of are not checked.
  std::int64_t window = 0;
  // Of these, kept free for the answer; nothing: what the call allows it (ContextFit).
  std::optional<std::int64_t> reserve;
  bool trim = false;  // otherwise what is too long is refused
  Keep keep;

  // "context: 128000 tokens, trimmed, keeping the last 4 messages", for `penstock check`.
  std::string describe() const;
};

// Mistakes are reported on the node. Nothing when it is absent or says `over: pass`.
std::optional<ContextRule> parse_context(const config::Node& node);

}  // namespace penstock::llm
