// The words of Google's errors (google.rpc.Code) for HTTP statuses.
#pragma once

#include <string>
#include <string_view>

namespace penstock::ext {

std::string_view status_name(int http_status);

// {"error":{"code":404,"message":"...","status":"NOT_FOUND"}}
std::string error_json(int http_status, std::string_view message);

}  // namespace penstock::ext
