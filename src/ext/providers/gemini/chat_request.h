// GenerateContentRequest of the Gemini API (v1beta) for a canonical request.
#pragma once

#include "chat/embeddings.h"
#include "chat/field.h"
#include "chat/request.h"

namespace penstock::ext {

// How a function's arguments are described: as JSON Schema in `parametersJsonSchema`, or in the older `parameters`,
// which know less but which every server of this dialect takes.
enum class ToolSchema : std::uint8_t { json_schema, openapi };

// What cannot be said goes to `dropped`; invalid_argument names what makes no sense.
Result<json::Object> write_generate(const chat::Request& request, std::string_view model, ToolSchema tool_schema,
                                    chat::Dropped& dropped);

// BatchEmbedContentsRequest.
Result<json::Object> write_embed(const chat::EmbeddingsRequest& request, std::string_view model,
                                 chat::Dropped& dropped);

}  // namespace penstock::ext
