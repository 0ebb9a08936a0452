// What Ollama's clients are told about a route: what the gateway knows, in the form they expect.
#pragma once

#include <string>

#include "llm/plan.h"

namespace penstock::ext {

// The name of the route that is meant by `asked`: Ollama's clients add ":latest" to names without a tag.
std::string_view ollama_route_name(const llm::Plan& plan, std::string_view asked);

// An entry of /api/tags.
std::string ollama_tag(std::string_view name, const llm::Route& route);
// The answer of /api/show.
std::string ollama_show(const llm::Route& route);

// All its targets speak Ollama's dialect.
bool is_ollama_route(const llm::Route& route);

}  // namespace penstock::ext
