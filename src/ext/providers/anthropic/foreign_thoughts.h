// Thoughts of other families' models in the words of Anthropic's clients: the gateway put them there, when another
// provider answered, and the client gives them back. Anthropic refuses the whole call for one of them.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace penstock::ext::anthropic {

// The body for `model` without these, everything else as the client said it; nothing when it holds none, which takes
// no more than a search. Where the last calls of tools lose their thoughts, the answer is made without thinking: it
// would be refused otherwise.
std::optional<std::string> without_foreign_thoughts(std::string_view body, std::string_view model);

}  // namespace penstock::ext::anthropic
