#include "app/admin.h"

#include <charconv>

#include "app/abuse.h"
#include "app/console.h"
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

rt::Task<void> send_console(http::Exchange& exchange) {
  http::ResponseHead head(200);
  head.add("content-type", "text/html; charset=utf-8");
  head.add("content-security-policy",
           "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; img-src "
           "data:; frame-ancestors 'none'");
  head.add("x-content-type-options", "nosniff").add("referrer-policy", "no-referrer");
  co_await exchange.respond(std::move(head), kConsoleHtml);
}

// A page of another site that has its name point to this machine must not read the API through a browser: on loopback
// only loopback names are served.
bool host_is_local(std::string_view host) {
  std::size_t colon = host.ends_with(']') ? std::string_view::npos : host.rfind(':');
  std::string_view name = host.substr(0, colon);
  return name == "localhost" || name.starts_with("127.") || name == "[::1]";
}

}  // namespace

Result<std::unique_ptr<Admin>> Admin::start(net::ListenSocket socket, AdminParts parts) {
  std::unique_ptr<Admin> admin(new Admin(std::move(parts)));
  auto state = store::State::open(admin->parts_.data_dir);
  if (!state) return std::unexpected(state.error());
  admin->state_.emplace(std::move(*state));
  admin->add_routes();
  http::ServerLimits limits;
  limits.connections_max = 200;
  Admin* self = admin.get();
  admin->server_ = std::make_unique<http::Server>(
      admin->thread_.loop(), [self](http::Exchange& exchange) { return self->handle(exchange); },
      [](int, std::string_view, const std::string& detail) {
        std::string body = "{\"error\":";
        json::append_quoted(body, detail);
        return body + "}";
      },
      limits);
  admin->server_->on_abuse(report_abuse(*admin->parts_.observer));
  admin->accept_from(std::move(socket));
  admin->thread_.start();
  return admin;
}

void Admin::accept_from(net::ListenSocket socket) {
  endpoint_ = socket.endpoint();
  check_host_.store(endpoint_.is_loopback() && !endpoint_.is_local_socket());
  acceptor_ = std::make_unique<net::Acceptor>(thread_.loop(), std::move(socket),
                                              [this](int fd, const net::Endpoint& peer) { server_->accept(fd, peer); });
}

void Admin::move_to(net::ListenSocket socket) {
  thread_.run_and_wait([&] {
    acceptor_->close();
    accept_from(std::move(socket));
  });
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
  if (std::exchange(stopped_, true) || !server_ || !acceptor_) return;
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
    return send(exchange, obstacles.empty() ? 200 : 503, "application/json", flow::readiness_json(obstacles));
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
  if (check_host_.load(std::memory_order_relaxed) && !host_is_local(request.field(wire::FieldId::host))) {
    co_await send(exchange, 403, "application/json",
                  R"({"error":"the admin API is served on loopback names only: use 127.0.0.1 or localhost"})");
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
