// What of an answer the client's dialect has no place for.
#pragma once

#include <string_view>
#include <vector>

#include "chat/codec.h"

namespace penstock::chat {

// As clients see it in x-penstock-dropped: "answer.image", "answer.citations"; each once, in the order of the answer.
// Only for whole answers: the head of a stream is gone when its content comes.
std::vector<std::string_view> unshown(const Answer& answer, const ClientCodec& codec);

}  // namespace penstock::chat
