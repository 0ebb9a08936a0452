// A body that is one side of a conversation: a stream of messages, each of which may answer what was said before.
#pragma once

#include <cstdint>

namespace penstock::http {

// As the bound of Exchange::read_piece(): over HTTP/2 neither the size of the whole body nor the time between two
// pieces of it is bounded; whoever reads bounds what it keeps.
constexpr std::uint64_t kConversation = UINT64_MAX;

}  // namespace penstock::http
