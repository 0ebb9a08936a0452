// What providers that imitate OpenAI do to the chunks of a stream.
#pragma once

#include <vector>

#include "mock/answer.h"

namespace penstock::mock {

// `frames` are chat.completion.chunk objects and "[DONE]".
std::vector<Frame> made_odd(std::vector<Frame> frames, const Traits& traits);

}  // namespace penstock::mock
