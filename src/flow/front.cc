#include "flow/front.h"

#include "json/value.h"
#include "obs/log.h"

namespace penstock::flow {
namespace {

// For paths of no family: plain JSON that any client can read.
class PlainDialect : public Dialect {
 public:
  std::string error_body(int, const Error& error, std::string_view) const override {
    std::string body = "{\"error\":";
    json::append_quoted(body, error.detail);
    return body + "}";
  }
};

const PlainDialect kPlainDialect;

// A process-unique prefix and a counter per thread: unique, and no random numbers per request.
void make_request_id(obs::RequestEvent& event) {
  static const std::string prefix = base::random_token(6);
  static std::atomic<std::uint32_t> threads{0};
  thread_local const std::uint32_t thread = threads.fetch_add(1);
  thread_local std::uint64_t counter = 0;
  // Prefix, thread, then the counter in at least eight digits.
  base::RecycledString text;
  base::Digits count(++counter, 16);
  std::string_view zeros = "00000000";
  zeros.remove_prefix(std::min(zeros.size(), std::string_view(count).size()));
  base::append(*text, prefix, base::Digits(thread, 16), zeros, count);
  event.id.assign(*text);
}

// What a caller may choose as the request id: short and harmless in a log.
bool usable_request_id(std::string_view id) {
  return !id.empty() && id.size() <= 24 && std::all_of(id.begin(), id.end(), [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '_' ||
           c == '.';
  });
}

}  // namespace

Front::Front(const base::Services& services, obs::Observer& observer, const base::Clock& clock, std::size_t cores,
             std::shared_ptr<Admission> admission)
    : services_(services), observer_(observer), clock_(clock), admission_(std::move(admission)), policies_(cores) {}

void Front::dialect(const std::string& api, std::unique_ptr<Dialect> dialect) { dialects_[api] = std::move(dialect); }

Front::Entry Front::make_entry(const std::string& pattern, const std::string& api, CallHandler handler) const {
  auto found = dialects_.find(api);
  const Dialect* spoken = found == dialects_.end() ? static_cast<const Dialect*>(&kPlainDialect) : found->second.get();
  return {obs::intern(api), obs::intern(pattern), spoken, std::move(handler)};
}

void Front::route(const std::string& method, const std::string& pattern, const std::string& api, CallHandler handler) {
  entries_.push_back(make_entry(pattern, api, std::move(handler)));
  router_.add(method, pattern, api, {});
}

void Front::route_if(std::string_view field, const std::string& method, const std::string& pattern,
                     const std::string& api, CallHandler handler) {
  variants_.push_back({std::string(field), method, pattern, make_entry(pattern, api, std::move(handler))});
}

const Front::Entry* Front::entry_of(const http::Router::Match& match, const http::Request& request) const {
  if (match.route == nullptr) return nullptr;
  for (const Variant& variant : variants_) {
    if (variant.pattern == match.route->pattern && variant.method == match.route->method &&
        !request.field(variant.field).empty())
      return &variant.entry;
  }
  return &entries_[static_cast<std::size_t>(match.route - router_.routes().data())];
}

const Dialect& Front::dialect_of(std::string_view path) const {
  auto found = dialects_.find(router_.api_of(path));
  return found == dialects_.end() ? static_cast<const Dialect&>(kPlainDialect) : *found->second;
}

std::string Front::error_body(int status, std::string_view path, const std::string& detail) const {
  Errc code = status == 413   ? Errc::out_of_range
              : status == 408 ? Errc::deadline_exceeded
              : status == 503 ? Errc::unavailable
              : status >= 500 ? Errc::internal
                              : Errc::invalid_argument;
  return dialect_of(path).error_body(status, Error{code, detail}, {});
}

rt::Task<void> Front::handle(http::Exchange& exchange) {
  auto core = static_cast<std::size_t>(exchange.loop().index());
  const http::Request& request = exchange.request();
  http::Router::Match match = router_.match(request.method, request.path);
  const Entry* entry = entry_of(match, request);
  std::shared_ptr<const Policy> policy = policies_[core];
  http::CodedExchange coded(exchange, codec_, policy->compression());
  Call call(coded, entry == nullptr ? dialect_of(request.path) : *entry->dialect, std::move(policy));
  call.in_force = &policies_[core];
  call.event.at = clock_.wall();
  if (exchange.peer().trusted_proxies) [[unlikely]]
    call.forwarded = http::read_forwarded(request, exchange.peer());
  call.event.client = {call.client().address(), call.client().is_local_socket()};
  call.admission = admission_.get();
  std::string_view asked_id = request.field(wire::FieldId::x_request_id);
  if (usable_request_id(asked_id)) {
    call.event.id.assign(asked_id);
  } else {
    make_request_id(call.event);
  }
  call.event.api = entry == nullptr ? other_api_ : entry->api;
  call.event.route = entry == nullptr ? no_route_ : entry->pattern;
  std::optional<std::string> thrown;
  try {
    if (entry == nullptr) {
      co_await refuse_unrouted(call, match);
    } else {
      co_await entry->handler(call, std::move(match.params));
    }
  } catch (const std::exception& error) {
    thrown = error.what();
  }
  if (thrown) co_await report_thrown(call, *thrown);
  finish(call);
}

rt::Task<void> Front::report_thrown(Call& call, const std::string& what) {
  // What the handler registered refers to what it no longer has.
  call.exchange.on_client_gone({});
  obs::log(obs::Level::error, "a handler threw", {{"route", std::string(call.event.route.view())}, {"what", what}});
  if (call.exchange.begun()) {
    call.exchange.abort();
    call.event.error_type = obs::ErrorType::penstock_internal;
  } else {
    co_await refuse(call, {Errc::internal, "the gateway failed to handle this request; its log says why"});
  }
}

rt::Task<void> Front::refuse_unrouted(Call& call, const http::Router::Match& match) {
  const http::Request& request = call.exchange.request();
  std::string path(request.path.substr(0, 200));
  // About the server as a whole (RFC 9110 section 9.3.7), and for proxies: nothing a path has to be known for.
  bool whole = request.path == "*";
  bool tunnel = request.method == "CONNECT" || request.method == "TRACE";
  std::string allowed = whole || tunnel ? "GET, HEAD, POST, OPTIONS" : match.allowed;
  if (allowed.empty()) {
    co_await refuse(call, {Errc::not_found, fmt::format("unknown path '{}': this gateway serves no such API", path)});
    co_return;
  }
  bool options = request.method == "OPTIONS";
  http::ResponseHead head(options ? 204 : 405);
  head.add("allow", allowed).add("content-type", "application/json");
  add_common_fields(call, head);
  Error error{Errc::invalid_argument, fmt::format("{} is not allowed on '{}'; use {}",
                                                  std::string(request.method.substr(0, 20)), path, allowed)};
  call.event.status = static_cast<std::uint16_t>(head.status());
  if (!options) call.event.error_type = obs::ErrorType::caller_bad_request;
  std::string body = options ? "" : call.dialect.error_body(405, error, call.event.id.view());
  co_await call.exchange.respond(std::move(head), body);
}

void Front::finish(Call& call) {
  if (call.in_flight) admission_->leave(call.exchange.loop());
  call.policy->settle(call);
  obs::RequestEvent& event = call.event;
  auto total = std::chrono::steady_clock::now() - call.exchange.started();
  event.total_nanos = total.count();
  event.overhead_nanos = (total - call.upstream_wait).count();
  event.bytes_out += call.exchange.bytes_sent();
  if (call.exchange.client_gone() && event.error_type == obs::ErrorType::none && event.status == 0) {
    event.status = 499;
    event.error_type = obs::ErrorType::caller_cancelled;
  }
  observer_.record(static_cast<std::size_t>(call.exchange.loop().index()), event);
}

}  // namespace penstock::flow
