// GenerateContentRequest and CountTokensRequest of the Gemini API, v1beta.
#pragma once

#include "chat/request.h"

namespace penstock::ext {

Result<chat::Request> read_generate(std::string_view body);
Result<chat::Request> read_count(std::string_view body);

}  // namespace penstock::ext
