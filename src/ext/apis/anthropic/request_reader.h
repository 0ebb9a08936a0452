// A request of Anthropic's Messages API in canonical form.
#pragma once

#include <string_view>

#include "chat/request.h"

namespace penstock::ext::anthropic {

// `counts`: of messages/count_tokens, which needs no max_tokens.
Result<chat::Request> read_messages_request(std::string_view body, bool counts);

}  // namespace penstock::ext::anthropic
