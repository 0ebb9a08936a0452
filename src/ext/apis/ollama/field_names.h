// What Ollama's clients call the fields of the canonical model.
#pragma once

#include <string_view>

#include "chat/field.h"

namespace penstock::ext {

std::string_view ollama_field_name(chat::Field field);

}  // namespace penstock::ext
