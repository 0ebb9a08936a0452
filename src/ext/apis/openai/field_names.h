// What the fields of the canonical model are called in OpenAI's dialect.
#pragma once

#include "chat/field.h"

namespace penstock::ext {

std::string_view openai_field_name(chat::Field field);

}  // namespace penstock::ext
