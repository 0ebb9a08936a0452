// Requests and answers as JSON documents in which everything that means the same looks the same, for comparing what
// came back with what was sent.
#pragma once

#include <string_view>

#include "chat/answer.h"
#include "chat/request.h"
#include "json/value.h"

namespace penstock::golden {

// Instructions stand apart, turns alternate, neighbouring texts are one. The call's own fields (model, id, created,
// stream, unread) are left out.
json::Value normal_form(const chat::Request& request);

// As `family` can say it at best: its words for endings, and, where it has no order of parts, parts by their kind.
json::Value normal_form(const chat::Answer& answer, chat::Family family);

// Takes away what stands at `path` ("tools[].strict"), and the objects and lists that this leaves empty.
void remove(json::Value& document, std::string_view path);

}  // namespace penstock::golden
