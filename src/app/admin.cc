#include "app/admin.h"

#include "app/abuse.h"
#include "app/admin_buffers.h"
#include "app/console.h"
#include "app/listen_config.h"
#include "flow/permission.h"
#include "json/value.h"

namespace penstock::app {
namespace {

// A change brings a few hundred bytes.
constexpr std::uint64_t kBodyBytesMax = 1U << 20;

http::ResponseHead head_of(int status, std::string_view type) {
  http::ResponseHead head(status);
  head.add("content-type", type).add("cache-control", "no-store").add("x-content-type-options", "nosniff");
  return head;
}

rt::Task<void> send(http::Exchange& exchange, int status, std::string_view type, std::string body) {
  co_await exchange.respond(head_of(status, type), body);
}

// Valid JSON also where the message repeats what a caller wrote into a path.
std::string error_body(std::string_view message) {
  std::string body = "{\"error\":";
  json::append_quoted(body, message);
  return body += '}';
}

rt::Task<void> send_error(http::Exchange& exchange, int status, std::string_view message) {
  return send(exchange, status, "application/json", error_body(message));
}

// Of a body that could not be read.
int status_of_reading(Errc code) {
  switch (code) {
    case Errc::out_of_range: return 413;
    case Errc::unimplemented: return 415;
    case Errc::deadline_exceeded: return 408;
    default: return 400;
  }
}

// Who asks: the gateway key, or the address without the port.
std::string actor_of(const net::Endpoint& peer, const std::string& key) {
  if (!key.empty()) return "key:" + key;
  std::string address = peer.text();
  if (!peer.is_local_socket()) address.erase(std::min(address.rfind(':'), address.size()));
  return "admin:" + address;
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
  admin->furnish();
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
      declared_(std::move(parts_.declared)),
      listen_(std::move(parts_.listen)) {
  parts_.observer->metrics().on_scrape([this](obs::MetricWriter& writer) { collect(writer); });
}

Admin::~Admin() { stop(); }

void Admin::stop() {
  if (std::exchange(stopped_, true) || !thread_.running()) return;
  std::atomic<bool> drained{false};
  thread_.loop().post([&] {
    acceptor_->close();
    for (const auto& report : reports_) {
      if (auto queue = report.lock()) queue->close();
    }
    rt::spawn(server_->drain(std::chrono::steady_clock::now() + std::chrono::seconds(1)), [&] { drained.store(true); });
  });
  while (!drained.load()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  thread_.stop();
}

void Admin::set_policy(std::shared_ptr<const flow::Policy> policy) {
  std::lock_guard lock(mutex_);
  policy_ = std::move(policy);
}

void Admin::set_declared(std::shared_ptr<const Declared> declared) {
  std::lock_guard lock(mutex_);
  declared_ = std::move(declared);
}

void Admin::set_listen(std::vector<std::string> addresses) {
  std::lock_guard lock(mutex_);
  listen_ = std::move(addresses);
}

void Admin::set_plan(std::shared_ptr<const llm::Plan> plan) {
  std::lock_guard lock(mutex_);
  plan_ = std::move(plan);
}

void Admin::furnish() {
  desk_.state = &*state_;
  desk_.book = parts_.book;
  desk_.data_dir = parts_.data_dir;
  desk_.registry = parts_.registry;
  desk_.repository = parts_.repository;
  desk_.ingest = parts_.ingest;
  desk_.journal = parts_.journal;
  desk_.alarms = parts_.alarms;
  desk_.devices = parts_.devices;
  desk_.plan = [this] {
    std::lock_guard lock(mutex_);
    return plan_;
  };
  desk_.keys_changed = parts_.keys_changed;
  access_.accept_keys([this](std::string_view secret, const net::Endpoint& peer) -> Result<std::string> {
    std::shared_ptr<const flow::Policy> policy;
    {
      std::lock_guard lock(mutex_);
      policy = policy_;
    }
    auto key = flow::find_admin(*policy, secret, peer, base::system_clock().wall());
    if (!key) return std::unexpected(key.error());
    return std::string((*key)->name().view());
  });
  desk_.declared = [this] {
    std::lock_guard lock(mutex_);
    return declared_;
  };
  desk_.catalog = [this] {
    std::lock_guard lock(mutex_);
    return plan_->prices();
  };
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
  routes_ = view_routes();
  for (auto part : {key_routes, team_routes, budget_routes, usage_routes, price_routes, audit_routes, model_routes,
                    pipeline_routes, alarm_routes, action_routes, device_routes}) {
    for (AdminRoute& route : part(desk_)) routes_.push_back(std::move(route));
  }
  for (AdminRoute& route : buffer_routes(*parts_.ingest, desk_)) routes_.push_back(std::move(route));
  std::string description = json::dump(describe(routes_));
  for (const AdminRoute& route : routes_) {
    router_.add(std::string(route.method), std::string(route.path), "admin",
                [this, &route](http::Exchange& exchange, http::Params params) {
                  return serve(exchange, route, std::move(params),
                               actor_of(exchange.peer().endpoint, access_.key_name()));
                });
  }
  router_.add("GET", "/admin/v1/openapi.json", "admin", [description](http::Exchange& exchange, http::Params) {
    return send(exchange, 200, "application/json", description);
  });
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
    co_await send_error(exchange, 404, "there is no such page; /admin/v1/openapi.json lists them");
  } else {
    http::ResponseHead head = head_of(405, "application/json");
    head.add("allow", match.allowed);
    std::string why = fmt::format("{} is not possible here; {} is", request.method, match.allowed);
    std::string body = error_body(why);
    co_await exchange.respond(std::move(head), body);
  }
}

rt::Task<void> Admin::serve(http::Exchange& exchange, const AdminRoute& route, http::Params params, std::string actor) {
  AdminCall call;
  call.params = std::move(params);
  call.now = base::system_clock().wall();
  call.actor = std::move(actor);
  auto query = read_query(exchange.request().query, route.query);
  if (!query) {
    co_await send_error(exchange, 400, query.error().detail);
    co_return;
  }
  call.query = std::move(*query);
  if (route.method != "GET") {
    auto bytes = co_await exchange.read_body(kBodyBytesMax);
    if (!bytes) {
      co_await send_error(exchange, status_of_reading(bytes.error().code), bytes.error().detail);
      co_return;
    }
    auto body = read_body(*bytes, shape(route.takes.empty() ? "Nothing" : route.takes));
    if (!body) {
      co_await send_error(exchange, status_of(body.error().code), body.error().detail);
      co_return;
    }
    call.body = std::move(*body);
  }
  if (route.report) {
    auto report = route.report(call);
    if (report) {
      co_await send_report(exchange, route.status, std::move(*report));
    } else {
      co_await send_error(exchange, status_of(report.error().code), report.error().detail);
    }
    co_return;
  }
  auto answer = route.answer(call);
  if (answer) {
    co_await send(exchange, route.status, "application/json", json::dump(*answer));
  } else {
    co_await send_error(exchange, status_of(answer.error().code), answer.error().detail);
  }
}

// What fits into one piece is answered at once, with its length.
rt::Task<void> Admin::send_report(http::Exchange& exchange, int status, AdminReport report) {
  auto queue = std::make_shared<PieceQueue>(thread_.loop());
  std::erase_if(reports_, [](const auto& one) { return one.expired(); });
  reports_.push_back(queue);
  auto begun = report_pool_.submit([queue, write = std::move(report.write)] {
    queue->end(write([&](std::string_view piece) { return queue->put(piece); }));
  });
  auto piece = begun ? co_await queue->next() : Result<std::string>(std::unexpected(begun.error()));
  if (!piece) {
    co_await send_error(exchange, status_of(piece.error().code), piece.error().detail);
    co_return;
  }
  http::ResponseHead head = head_of(status, report.type);
  if (!report.file.empty()) head.add("content-disposition", fmt::format("attachment; filename=\"{}\"", report.file));
  auto next = co_await queue->next();
  if (next && next->empty()) {
    co_await exchange.respond(std::move(head), *piece);
    co_return;
  }
  exchange.begin(std::move(head));
  bool wanted = true;
  while (wanted && piece && !piece->empty()) {
    auto written = co_await exchange.write(*piece);
    wanted = written.has_value();
    piece = std::move(next);
    if (wanted && piece && !piece->empty()) next = co_await queue->next();
  }
  queue->close();
  if (wanted && piece) {
    co_await exchange.finish();
  } else {
    exchange.abort();
  }
}

}  // namespace penstock::app
