#include "ext/apis/gemini/status_name.h"

#include "base/text.h"
#include "json/value.h"

namespace penstock::ext {

std::string_view status_name(int http_status) {
  struct Row {
    int status;
    std::string_view name;
  };
  constexpr Row kRows[] = {{400, "INVALID_ARGUMENT"},   {401, "UNAUTHENTICATED"}, {403, "PERMISSION_DENIED"},
                           {404, "NOT_FOUND"},          {409, "ABORTED"},         {412, "FAILED_PRECONDITION"},
                           {429, "RESOURCE_EXHAUSTED"}, {499, "CANCELLED"},       {500, "INTERNAL"},
                           {501, "UNIMPLEMENTED"},      {502, "UNAVAILABLE"},     {503, "UNAVAILABLE"},
                           {504, "DEADLINE_EXCEEDED"},  {529, "UNAVAILABLE"}};
  for (const Row& row : kRows) {
    if (row.status == http_status) return row.name;
  }
  return http_status >= 500 ? "INTERNAL" : "INVALID_ARGUMENT";
}

std::string error_json(int http_status, std::string_view message) {
  std::string body;
  base::append(body, R"({"error":{"code":)", base::Digits(http_status), R"(,"message":)");
  json::append_quoted(body, message);
  base::append(body, R"(,"status":")", status_name(http_status), R"("}})");
  return body;
}

}  // namespace penstock::ext
