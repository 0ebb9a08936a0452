// The data listener's handler: finds the route, makes the call, runs it and records what became of it.
#pragma once

#include <map>
#include <memory>
#include <vector>

#include "flow/admission.h"
#include "flow/dialect.h"
#include "flow/filter.h"
#include "http/body_codec.h"
#include "http/server.h"
#include "obs/observer.h"

namespace penstock::flow {

class Front : public ApiBuilder {
 public:
  // `admission` null: every call is taken.
  Front(const base::Services& services, obs::Observer& observer, const base::Clock& clock, std::size_t cores,
        std::shared_ptr<Admission> admission = nullptr);

  // --- while building, before any core runs ---
  void dialect(const std::string& api, std::unique_ptr<Dialect> dialect) override;
  void route(const std::string& method, const std::string& pattern, const std::string& api,
             CallHandler handler) override;
  void route_if(std::string_view field, const std::string& method, const std::string& pattern, const std::string& api,
                CallHandler handler) override;
  const base::Services& services() const override { return services_; }

  // --- on core `core` ---
  void set_policy(std::size_t core, std::shared_ptr<const Policy> policy) { policies_[core] = std::move(policy); }
  rt::Task<void> handle(http::Exchange& exchange);
  // The body of an answer given before any route was known.
  std::string error_body(int status, std::string_view path, const std::string& detail) const;

 private:
  struct Entry {
    obs::Label api;
    obs::Label pattern;
    const Dialect* dialect;
    CallHandler handler;
  };
  struct Variant {
    std::string field;
    std::string method;
    std::string pattern;
    Entry entry;
  };
  Entry make_entry(const std::string& pattern, const std::string& api, CallHandler handler) const;
  const Entry* entry_of(const http::Router::Match& match, const http::Request& request) const;
  const Dialect& dialect_of(std::string_view path) const;
  rt::Task<void> report_thrown(Call& call, const std::string& what);
  rt::Task<void> refuse_unrouted(Call& call, const http::Router::Match& match);
  void finish(Call& call);

  const base::Services& services_;
  obs::Observer& observer_;
  const base::Clock& clock_;
  std::shared_ptr<Admission> admission_;
  http::BodyCodec codec_;
  http::Router router_;
  std::map<std::string, std::unique_ptr<Dialect>, std::less<>> dialects_;
  std::vector<Entry> entries_;  // in the router's order
  std::vector<Variant> variants_;
  obs::Label other_api_ = obs::intern("other");
  obs::Label no_route_ = obs::intern("(none)");
  std::vector<std::shared_ptr<const Policy>> policies_;
};

}  // namespace penstock::flow
