#include "app/admin.h"

#include <charconv>

#include "app/abuse.h"
#include "app/console.h"
#include "app/listen_config.h"
#include "base/quantity.h"
#include "base/version.h"
#include "json/value.h"

namespace penstock::app {
namespace {

rt::Task<void> send(http::Exchange& exchange, int status, std::string_view type, std::string body) {
  http::ResponseHead head(status);
  head.add("content-type", type).add("cache-control", "no-store").add("x-content-type-options", "nosniff");
  co_await exchange.respond(std::move(head), body);
}

rt::Task<void> refuse(http::Exchange& exchange, AdminAccess::Refusal refusal) {
  http::ResponseHead head(refusal.status);
  head.add("content-type", "application/json").add("cache-control", "no-store");
  if (refusal.status == 401) head.add("www-authenticate", "Bearer");
  if (refusal.retry_after > 0) head.add("retry-after", refusal.retry_after);
  std::string body = "{\"error\":";
  json::append_quoted(body, refusal.message);
  body += "}";
  co_await exchange.respond(std::move(head), body);
}

rt::Task<void> send_console(http::Exchange& exchange) {
  http::ResponseHead head(200);
  head.add("content-type", "text/html; charset=utf-8");
  head.add("content-security-policy",
           "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; img-src "
           "data:; frame-ancestors 'none'; form-action 'none'; base-uri 'none'");
  head.add("x-content-type-options", "nosniff").add("referrer-policy", "no-referrer");
  co_await exchange.respond(std::move(head), kConsoleHtml);
}

}  // namespace

Result<std::unique_ptr<Admin>> Admin::start(AdminDoor door, AdminParts parts) {
  std::unique_ptr<Admin> admin(new Admin(std::move(parts)));
  auto state = store::State::open(admin->parts_.data_dir);
  if (!state) return std::unexpected(state.error());
  admin->state_.emplace(std::move(*state));
  auto ledger = store::Ledger::open(admin->parts_.data_dir);
  if (!ledger) return std::unexpected(ledger.error());
  admin->ledger_.emplace(std::move(*ledger));
  admin->add_routes();
  http::BurdenLimits burden;
  burden.connections = 200;
  burden.connections_per_client = 50;
  http::ServerLimits limits;
  limits.head_timeout = std::chrono::seconds(5);
  limits.idle_timeout = std::chrono::seconds(20);
  Admin* self = admin.get();
  admin->server_ = std::make_unique<http::Server>(
      admin->thread_.loop(), [self](http::Exchange& exchange) { return self->handle(exchange); },
      [](int, std::string_view, const std::string& detail) {
        std::string body = "{\"error\":";
        json::append_quoted(body, detail);
        return body + "}";
      },
      limits, std::make_shared<http::Burden>(1, burden));
  admin->server_->on_abuse(report_abuse(*admin->parts_.observer));
  admin->enter(std::move(door));
  admin->thread_.start();
  return admin;
}

// On the admin thread, or before it runs.
void Admin::enter(AdminDoor door) {
  access_.change(door.config);
  options_ = std::move(door.options);
  if (!door.socket) return;
  if (acceptor_) acceptor_->close();
  endpoint_ = door.socket->endpoint();
  acceptor_ = std::make_unique<net::Acceptor>(
      thread_.loop(), std::move(*door.socket),
      [this](int fd, const net::Endpoint& peer) { server_->accept(fd, peer, options_); });
}

void Admin::change(AdminDoor door) {
  thread_.run_and_wait([&] { enter(std::move(door)); });
}

void Admin::take_file() {
  thread_.run_and_wait([this] { acceptor_->socket().take_file(); });
}

void Admin::hand_over() {
  thread_.run_and_wait([this] { acceptor_->hand_over(); });
}

Admin::Admin(AdminParts parts)
    : parts_(std::move(parts)),
      policy_(std::move(parts_.policy)),
      plan_(std::move(parts_.plan)),
      listen_(std::move(parts_.listen)) {
  parts_.observer->metrics().on_scrape([this](obs::MetricWriter& writer) { collect(writer); });
}

Admin::~Admin() { stop(); }

void Admin::stop() {
  if (std::exchange(stopped_, true) || !thread_.running()) return;
  std::atomic<bool> drained{false};
  thread_.loop().post([&] {
    acceptor_->close();
    rt::spawn(server_->drain(std::chrono::steady_clock::now() + std::chrono::seconds(1)), [&] { drained.store(true); });
  });
  while (!drained.load()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  thread_.stop();
}

void Admin::set_policy(std::shared_ptr<const flow::Policy> policy) {
  std::lock_guard lock(mutex_);
  policy_ = std::move(policy);
}

void Admin::set_listen(std::vector<std::string> addresses) {
  std::lock_guard lock(mutex_);
  listen_ = std::move(addresses);
}

void Admin::set_plan(std::shared_ptr<const llm::Plan> plan) {
  std::lock_guard lock(mutex_);
  plan_ = std::move(plan);
}

void Admin::add_json(const std::string& pattern, std::function<std::string(const http::Request&)> make) {
  router_.add("GET", pattern, "admin", [make = std::move(make)](http::Exchange& exchange, http::Params) {
    return send(exchange, 200, "application/json", make(exchange.request()));
  });
}

void Admin::add_routes() {
  router_.add("GET", "/", "admin", [](http::Exchange& exchange, http::Params) { return send_console(exchange); });
  router_.add("GET", "/metrics", "admin", [this](http::Exchange& exchange, http::Params) {
    return send(exchange, 200, "text/plain; version=0.0.4; charset=utf-8", parts_.observer->metrics().render());
  });
  router_.add("GET", "/healthz", "admin", [](http::Exchange& exchange, http::Params) {
    return send(exchange, 200, "application/json", R"({"alive":true})");
  });
  router_.add("GET", "/readyz", "admin", [this](http::Exchange& exchange, http::Params) {
    std::vector<std::string> obstacles = parts_.readiness->obstacles();
    return send(exchange, obstacles.empty() ? 200 : 503, "application/json",
                flow::readiness_json(obstacles, parts_.readiness->shedding(), parts_.readiness->notes()));
  });
  add_json("/admin/v1/status", [this](const http::Request&) { return status_json(); });
  add_json("/admin/v1/requests", [this](const http::Request& request) { return requests_json(request); });
  add_json("/admin/v1/models", [this](const http::Request&) { return models_json(); });
  add_json("/admin/v1/keys", [this](const http::Request&) { return keys_json(); });
  add_json("/admin/v1/usage", [this](const http::Request& request) { return usage_json(request); });
  add_json("/admin/v1/pipelines", [this](const http::Request&) { return pipelines_json(); });
  add_json("/admin/v1/alarms", [this](const http::Request&) { return alarms_json(); });
  add_json("/admin/v1/devices", [this](const http::Request&) { return devices_json(); });
  add_json("/admin/v1/openapi.json", [this](const http::Request&) { return openapi_json(); });
}

rt::Task<void> Admin::handle(http::Exchange& connection) {
  std::shared_ptr<const flow::Policy> policy;
  {
    std::lock_guard lock(mutex_);
    policy = policy_;
  }
  http::CodedExchange exchange(connection, codec_, policy->compression());
  const http::Request& request = exchange.request();
  if (auto refusal = access_.check(request, exchange.peer().endpoint, std::chrono::steady_clock::now())) {
    co_await refuse(exchange, std::move(*refusal));
    co_return;
  }
  http::Router::Match match = router_.match(request.method, request.path);
  if (match.route != nullptr) {
    co_await match.route->handler(exchange, std::move(match.params));
  } else if (match.allowed.empty()) {
    co_await send(exchange, 404, "application/json",
                  R"({"error":"there is no such page; /admin/v1/openapi.json lists them"})");
  } else {
    co_await send(exchange, 405, "application/json", R"({"error":"only GET is allowed here"})");
  }
}

}  // namespace penstock::app
