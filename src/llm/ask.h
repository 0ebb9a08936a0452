// What a call may use at most, said before it goes out: what limits and budgets reserve.
#pragma once

#include "flow/call.h"
#include "llm/plan.h"

namespace penstock::llm {

// Sets call.ask, call.input_tokens and call.model_account for a call to one of the route's targets, and in `request`
// what its body has to say of the output. Before: call.model, a rough call.input_tokens, and what was read of the body.
void prepare_ask(flow::Call& call, const Route& route, Request& request);

// The same once more for a call that was admitted already, with a body that became longer since: more is reserved.
// resource_exhausted: it does not fit.
Result<void> raise_ask(flow::Call& call, const Route& route, Request& request);

// The input as a target with this encoding, or without one, counts it; nothing when the request cannot be read.
struct CountedInput {
  std::int64_t tokens = 0;
  bool exact = false;
};
std::optional<CountedInput> count_input(const Target& target, Request& request);

// The same without looking at the words: how many bytes of text, and the tokens of all else. Much quicker.
std::optional<token::InputSize> measure_input(const Target& target, Request& request);

// The longest of the texts to embed: each is an input of its own.
std::optional<CountedInput> count_longest_text(const Target& target, const Request& request);

// Tokens of one answer as the client, and the limits of who asks and of the model, allow; 0: none of them says it.
std::int64_t said_output(const flow::Call& call, const Route& route, const Request& request);

// The most that one answer has where the client does not say it: of all targets; 0 when that is not known of one.
std::int64_t output_most_of(const Route& route, base::WallMicros now);

// What the call may cost at most with this target; nothing when its price is not known.
std::optional<std::int64_t> dearest(const Target& target, const flow::Call& call, const Request& request);

// Tokens of one answer that this target is told at most: by the request's bound and the target's own limits; 0: none.
std::int64_t output_most_for(const Target& target, const Request& request);
// Bounds a request that is translated. `thoughts_beside`: the provider is told what it may think as well, which has to
// be less.
void bound_output(chat::Request& request, std::int64_t most, bool thoughts_beside);

// What a call whose body passes through is about.
struct Passage {
  enum class Kind : std::uint8_t { paid, free, unknown };  // unknown: it costs, and nobody can say how much
  Kind kind = Kind::paid;
  std::int64_t images = 0;   // to be made
  std::int64_t answers = 0;  // of some thousand tokens each, at most; 0: what comes back costs none
  flow::Capabilities needs = {flow::Capability::chat};
};
// The same for such a call; call.input_tokens is what is known of its input.
void prepare_passage(flow::Call& call, const Route& route, const Passage& passage);

// Some hard budget, of who asks or of one of the targets, relies on what was asked for.
bool is_bounded(const flow::Call& call, const Route& route);

// Teaches the target's estimate what the provider counted.
void learn(const Target& target, const Request& request, const Usage& usage);

// What the call's key has to be good for. What the body asks for is looked at only when the key is not good for all;
// then it is read as it is meant, whatever way it is spelt.
flow::Capabilities needs_of(const flow::Call& call, Request& request);

}  // namespace penstock::llm
