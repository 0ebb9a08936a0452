// What our parser makes of one message, in the form the reference parsers' readings are compared in.
#pragma once

#include <fmt/format.h>

#include <string>
#include <string_view>

#include "wire/http1.h"

namespace penstock::wire {

struct Accepted {
  bool accepted = false;
  std::size_t used = 0;
  std::string text;  // method, target, status, minor version, fields and body

  void add_field(std::string_view name, std::string_view value) { text += fmt::format("{}:{}\n", name, value); }
};

inline Accepted accept(Http1Parser::Kind kind, std::string_view bytes) {
  Http1Parser parser(kind, {});
  Accepted message;
  std::string body;
  while (message.used < bytes.size() && !parser.message_done()) {
    auto used = parser.feed(bytes.substr(message.used), body);
    if (!used) return message;
    message.used += *used;
  }
  message.accepted = parser.finish();
  if (!message.accepted) return message;
  const Http1Head& head = parser.head();
  message.text = fmt::format("{} {} {} {}\n", head.method, head.target, head.status, head.version_minor);
  for (std::size_t i = 0; i < head.fields.size(); ++i)
    message.add_field(head.fields.at(i).name, head.fields.at(i).value);
  message.text += body;
  return message;
}

}  // namespace penstock::wire
