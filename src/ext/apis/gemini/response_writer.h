// GenerateContentResponse of the Gemini API, whole and as a stream.
#pragma once

#include "chat/request.h"
#include "chat/stream.h"
#include "llm/provider.h"

namespace penstock::ext {

std::string write_response(const chat::Request& request, const chat::Answer& answer);
// `framing`: events with ?alt=sse, else array. `request` outlives the writer.
std::unique_ptr<chat::StreamWriter> response_stream(const chat::Request& request, llm::Framing framing);

}  // namespace penstock::ext
