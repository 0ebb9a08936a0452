// How an answer is to differ from the plain one, told by the model's name: "mock-think", "mock-503",
// "mock-crlf+split+think". README.md has the table.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "mock/options.h"

namespace penstock::mock {

enum class Trait : std::uint8_t {
  // what is answered
  think,     // thoughts, also when nobody asked
  redacted,  // thoughts nobody may read
  refusal,   // the model refuses
  filtered,  // cut off by a filter
  preface,   // words before tool calls
  empty,     // no words at all
  cache,     // prompts seen before count as cached
  // how a stream is framed
  crlf,
  bom,
  comments,
  no_space,
  multi_line,
  split,       // every byte a write of its own
  long_lines,  // a line of more than 64 KiB
  // what OpenAI's imitators do to a stream of chunks
  choices_empty,
  choices_null,
  choices_absent,
  usage_on_finish,
  usage_twice,
  no_finish,  // finish_reason is absent, not null
  no_done,
  calls_together,   // several tool calls in one chunk
  whole_arguments,  // arguments in one piece
  calls_stop,       // tool calls, but the finish reason stop
  // when and what fails
  error_first,   // an error as the first event of a stream
  slow_first,    // a second before the first token
  failed,        // a response that says it failed
  rate_limited,  // 429 with all fields that say when to come back
  count
};

// What one model name asks for.
struct Traits {
  std::uint64_t bits = 0;
  Failure failure;
  bool has(Trait trait) const { return (bits >> static_cast<unsigned>(trait) & 1U) != 0; }
  void add(Trait trait) { bits |= std::uint64_t{1} << static_cast<unsigned>(trait); }
  bool odd() const { return bits != 0; }
};

// "mock-" and names of failures and traits, joined by plus signs. A name with an unknown part has no traits at all.
Traits traits_of(std::string_view model);
// All names, for a person: "think, redacted, ...".
std::string trait_names();

}  // namespace penstock::mock
