// The canonical types of errors, which are OpenAI's.
#pragma once

#include <string_view>

namespace penstock::chat {

// The type that belongs to a status, for errors that name none.
std::string_view error_type(int status);

}  // namespace penstock::chat
