// The admin API as one table: what each route takes, does and gives. The router and openapi.json are made from it.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "app/admin_shape.h"
#include "http/router.h"

namespace penstock::app {

// What a handler knows of a request; checked against its route.
struct AdminCall {
  http::Params params = {};
  Query query = {};
  json::Object body = {};
  std::string actor = {};  // for the audit log: who asks
  base::WallMicros now = 0;

  std::string param(std::string_view name) const { return std::string(http::param(params, name)); }
  // Of the query: empty, or the fallback, when it was not sent.
  std::string text(std::string_view name) const;
  std::int64_t integer(std::string_view name, std::int64_t fallback) const;
};

// An answer that may be long, or take long to find: written by a thread that may block.
struct AdminReport {
  // Takes a piece; false: nobody wants any more, which is no error.
  using Sink = std::function<bool(std::string_view)>;
  std::string_view type = "application/json";
  std::string file = {};                           // what a download is called; empty: it is none
  std::function<Result<void>(const Sink&)> write;  // an error before the first piece is answered as such
};

struct AdminRoute {
  std::string_view method;
  std::string_view path;  // as http::Router has it
  std::string_view name;  // operationId
  std::string_view about;
  std::vector<Field> query = {};
  std::string_view takes = {};     // the shape of the body; empty: none
  std::string_view gives = {};     // the shape of the answer; empty: some object
  int status = 200;                // when all is well
  std::vector<int> refusals = {};  // statuses of errors beside those that follow from the rest
  // One of the two; on the admin thread.
  std::function<Result<json::Object>(const AdminCall&)> answer = {};
  std::function<Result<AdminReport>(const AdminCall&)> report = {};
};

// The HTTP status of a handler's error.
int status_of(Errc code);

// OpenAPI 3.1 of these routes.
json::Object describe(const std::vector<AdminRoute>& routes);

}  // namespace penstock::app
