// Asks the admin API of a gateway that runs.
#pragma once

#include <string>

#include "app/data_folder.h"
#include "base/secret.h"
#include "json/value.h"
#include "net/address.h"

namespace penstock::app {

class AdminClient {
 public:
  // Where `url` says (http://127.0.0.1:8081); when that is empty, where `admin` of the folder's configuration does;
  // else the default. The key comes from PENSTOCK_ADMIN_KEY. Errors: invalid_argument.
  static Result<AdminClient> open(const std::string& url, const DataFolder& folder);

  // What it answers, with a body unless that is null. Errors: unavailable (nobody is there), and those of the API under
  // their codes.
  Result<json::Object> ask(std::string_view method, const std::string& path, const json::Value& body = nullptr) const;

 private:
  net::Url url_;
  base::Secret key_;
};

// A name as a part of a path or a query: what is not plain there is percent-encoded (RFC 3986 section 2.3).
std::string escaped(std::string_view name);

}  // namespace penstock::app
