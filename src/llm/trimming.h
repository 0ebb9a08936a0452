// Which part of a conversation is left out when it is too long for a model. Pure; any thread.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "llm/history.h"

namespace penstock::llm {

// What is never left out beside instructions, the last message and the last words of the user: so many of the others,
// counted from both ends.
struct Keep {
  std::size_t first = 0;
  std::size_t last = 4;
};

using CountTokens = std::function<std::int64_t(std::span<const std::uint32_t> places)>;

struct Trimming {
  std::vector<std::uint32_t> dropped;  // places in the history, ascending; never the last one
  std::int64_t freed = 0;              // tokens of these; less than what was asked for when no more can go
};

// Leaves out the oldest, until `excess` tokens are gone: first whole turns (what a user says with all that follows up
// to what a user says next), then, of turns of which something is kept, steps (what the model says and calls, with the
// results) but their last ones. So who speaks goes on in turns, calls and their results stay together, and what began
// with the user still does. `tokens` is asked for what goes, once, with all that belongs together at a time.
Trimming trim(std::span<const Entry> history, const Keep& keep, std::int64_t excess, const CountTokens& tokens);

}  // namespace penstock::llm
