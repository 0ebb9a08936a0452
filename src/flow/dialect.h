// How one family of APIs speaks about errors.
#pragma once

#include <string>

#include "base/registry.h"
#include "base/result.h"
#include "base/services.h"
#include "flow/call.h"
#include "http/router.h"

namespace penstock::flow {

// Error::source of a refusal because a budget is used up: some dialects have other words for it than for a rate.
constexpr std::string_view kBudgetSource = "budget";

class Dialect {
 public:
  virtual ~Dialect() = default;
  virtual int status(const Error& error) const { return http_status(error.code); }
  // `id` is the call's, empty where there is no call.
  virtual std::string error_body(int status, const Error& error, std::string_view id) const = 0;
  // The same within a stream that had begun, as a whole event.
  virtual std::string stream_error(int status, const Error& error, std::string_view id) const {
    return "data: " + error_body(status, error, id) + "\n\n";
  }
  // Adds what answers in this dialect have besides the common fields.
  virtual void add_fields(const Call& call, http::ResponseHead& head) const {
    (void)call;
    (void)head;
  }
  // Adds the fields that show the call's limits; by default OpenAI's.
  virtual void add_limits(const Call& call, http::ResponseHead& head) const;
};

// What an API extension adds: a dialect under its name and handlers for its paths.
using CallHandler = std::function<rt::Task<void>(Call&, http::Params)>;

class ApiBuilder {
 public:
  virtual ~ApiBuilder() = default;
  // `api` is the metric label and the dialect's name.
  virtual void dialect(const std::string& api, std::unique_ptr<Dialect> dialect) = 0;
  virtual void route(const std::string& method, const std::string& pattern, const std::string& api,
                     CallHandler handler) = 0;
  // The same for a path that another API has: for its calls with the header field `field`, by which this API's clients
  // are known.
  virtual void route_if(std::string_view field, const std::string& method, const std::string& pattern,
                        const std::string& api, CallHandler handler) = 0;
  virtual const base::Services& services() const = 0;
};

struct ApiFactory {
  // Registers everything; called once at start. An API whose lane is absent adds nothing.
  std::function<void(ApiBuilder&)> build;
};

}  // namespace penstock::flow
