#include "ext/providers/openai/error_reader.h"

#include <algorithm>
#include <array>

#include "chat/error_type.h"

namespace penstock::ext {
namespace {

// Longer ones are no messages.
constexpr std::size_t kTextBytesMax = 2000;

constexpr std::array<std::string_view, 7> kTypes{"invalid_request_error", "authentication_error", "permission_error",
                                                 "not_found_error",       "rate_limit_error",     "insufficient_quota",
                                                 "server_error"};

// FastAPI's: a text, or a list of what is wrong where.
std::string read_detail(const json::Value& detail) {
  if (detail.is_string()) return {detail.get_string().data(), detail.get_string().size()};
  if (!detail.is_array()) return std::string(json::string_or(detail, "message", ""));
  std::string text;
  for (const json::Value& entry : detail.get_array()) {
    std::string_view message = json::string_or(entry, "msg", "");
    if (message.empty()) continue;
    if (!text.empty()) text += "; ";
    text += message;
  }
  return text;
}

void read_object(const json::Value& error, chat::ProviderError& out) {
  out.message = json::string_or(error, "message", "");
  out.param = json::string_or(error, "param", "");
  out.code = json::string_or(error, "code", "");
  std::string_view type = json::string_or(error, "type", "");
  if (std::find(kTypes.begin(), kTypes.end(), type) != kTypes.end()) out.type = type;
}

std::string plain_text(std::string_view body) {
  constexpr std::string_view kBlanks = " \t\r\n";
  std::size_t begin = body.find_first_not_of(kBlanks);
  if (begin == std::string_view::npos || body[begin] == '<' || body[begin] == '{' || body[begin] == '[') return {};
  body = body.substr(begin, body.find_last_not_of(kBlanks) - begin + 1);
  return body.size() <= kTextBytesMax && json::is_valid_utf8(body) ? std::string(body) : std::string();
}

}  // namespace

bool is_openai_error(const json::Value& document) {
  const json::Value* error = json::find(document, "error");
  return (error != nullptr && !error->is_null()) || json::string_or(document, "object", "") == "error";
}

chat::ProviderError openai_error_in(int status, const json::Value& document) {
  if (document.is_array() && !document.get_array().empty())
    return openai_error_in(status, document.get_array().front());
  chat::ProviderError out{.status = status, .type = std::string(chat::error_type(status))};
  const json::Value* error = json::find(document, "error");
  if (error != nullptr && error->is_string()) {
    out.message = {error->get_string().data(), error->get_string().size()};
  } else if (error != nullptr && error->is_object()) {
    read_object(*error, out);
  } else {
    read_object(document, out);
    const json::Value* detail = json::find(document, "detail");
    if (out.message.empty() && detail != nullptr) out.message = read_detail(*detail);
  }
  return out;
}

chat::ProviderError read_openai_error(int status, std::string_view body) {
  if (auto parsed = json::parse(body); parsed && (parsed->is_object() || parsed->is_array()))
    return openai_error_in(status, *parsed);
  return {.status = status, .type = std::string(chat::error_type(status)), .message = plain_text(body)};
}

}  // namespace penstock::ext
