// Which encoding a model's text becomes tokens by. Pure tables.
#pragma once

#include <string_view>

namespace penstock::token {

// The name for Encoding::find(); empty when none is published, as for other makers' models. Takes the names of
// OpenAI's models as they stand in configurations: with a provider or a path before them ("openai/gpt-4o"), fine-tuned
// ("ft:gpt-4o:acme::1"), dated, and Azure's "gpt-35-turbo".
std::string_view encoding_name(std::string_view model);

// The model's own name, without what stands before it: "gpt-4o" of "openai/ft:gpt-4o". A part of `model`.
std::string_view bare_model(std::string_view model);

// Whether `model` is `name`, or `name` and more behind a "-", ".", ":" or "@".
bool is_of(std::string_view model, std::string_view name);

}  // namespace penstock::token
