#include "http/server.h"

#include <unistd.h>

#include "http/h2_connection.h"
#include "http/proxy_header.h"
#include "http/server_connection.h"

namespace penstock::http {
namespace {

// RFC 9113 section 3.4. No HTTP/1 request that a server would answer begins like that.
constexpr std::string_view kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

}  // namespace

Server::Server(rt::Loop& loop, Handler handler, ErrorBody error_body, ServerLimits limits,
               std::shared_ptr<Burden> burden)
    : loop_(loop),
      handler_(std::move(handler)),
      error_body_(std::move(error_body)),
      limits_(limits),
      burden_(burden ? std::move(burden) : std::make_shared<Burden>(1)),
      scope_(loop),
      leave_timer_(loop) {}

Server::~Server() = default;

void Server::accept(int fd, const net::Endpoint& peer, std::shared_ptr<const ListenerOptions> listener) {
  static const auto kDefault = std::make_shared<const ListenerOptions>();
  if (!listener) listener = kDefault;
  // A proxy carries many clients: it is not counted as one of them.
  bool proxy = listener->proxy_protocol || listener->trusts(peer);
  std::uint64_t counted = proxy ? 0 : net::client_of(peer);
  Burden::Place place = draining_ ? Burden::Place::none : burden_->enter(loop_.index(), counted);
  if (place == Burden::Place::none) {
    ::close(fd);
    return;
  }
  Peer who{peer, nullptr, {}, place == Burden::Place::spare};
  scope_.spawn(serve(fd, std::move(who), counted, std::move(listener)));
}

rt::Task<void> Server::serve(int fd, Peer peer, std::uint64_t counted,
                             std::shared_ptr<const ListenerOptions> listener) {
  Client client(loop_, fd, std::move(peer), counted, std::move(listener));
  clients_.insert(&client);
  rt::Timer spare_over(loop_);
  if (client.peer.spare) spare_over.arm_in(limits_.spare_timeout, [&client] { client.stream.cut(); });
  bool opened = co_await open(client);
  if (opened && (draining_ || client.removed())) client.speaking->leave();
  if (opened) co_await client.speaking->run();
  clients_.erase(&client);
  burden_->leave(loop_.index(), client.counted);
}

// What comes before HTTP: who it is about, the handshake, and what the client speaks. False when it is gone.
rt::Task<bool> Server::open(Client& client) {
  net::Stream& stream = client.stream;
  const ListenerOptions& listener = *client.listener;
  bool h2 = false;
  if (listener.proxy_protocol) {
    auto told = co_await take_proxy_header(stream, listener, limits_.proxy_timeout, client.peer.endpoint);
    if (!told) co_return false;
    std::uint64_t named = listener.trusts(client.peer.endpoint) ? 0 : net::client_of(client.peer.endpoint);
    if (!burden_->name_client(loop_.index(), named)) co_return false;
    client.counted = named;
  }
  if (listener.trusts(client.peer.endpoint)) client.peer.trusted_proxies = listener.trusted_proxies;
  if (listener.tls) {
    stream.set_deadline(std::chrono::steady_clock::now() + limits_.head_timeout);
    auto shaken = co_await stream.start_tls_server(listener.tls);
    if (!shaken) {
      ServerConnection refused(*this, stream, client.peer, listener, {});
      co_await refused.refuse_handshake(shaken.error());
      co_return false;
    }
    client.peer.tls = stream.tls_facts();
    h2 = client.peer.tls.alpn == "h2";
  } else if (listener.h2c) {
    auto preface = co_await begins_with_preface(client);
    if (!preface) co_return false;
    h2 = *preface;
  }
  if (h2) {
    stream.clear_deadline();  // of the handshake: HTTP/2 has timers of its own
    client.speaking = std::make_unique<H2Connection>(*this, stream, client.peer, std::move(client.early));
  } else {
    client.speaking = std::make_unique<ServerConnection>(*this, stream, client.peer, listener, std::move(client.early));
  }
  co_return true;
}

// Reads as far as it takes to tell; what was read is kept for whoever goes on.
rt::Task<Result<bool>> Server::begins_with_preface(Client& client) {
  std::array<char, 4096> buffer;  // NOLINT(cppcoreguidelines-pro-type-member-init): filled by the read
  client.stream.set_deadline(loop_.now() + limits_.idle_timeout);
  while (client.early.size() < kPreface.size() && kPreface.starts_with(client.early)) {
    auto got = co_await client.stream.read(buffer);
    if (!got) co_return std::unexpected(got.error());
    if (*got == 0) co_return fail(Errc::cancelled, "the client closed the connection");
    if (client.early.empty()) client.stream.set_deadline(loop_.now() + limits_.head_timeout);
    client.early.append(buffer.data(), *got);
  }
  client.stream.clear_deadline();
  co_return client.early.starts_with(kPreface);
}

void Server::leave_removed(base::Duration grace) {
  for (Client* client : open_clients()) {
    if (client->removed() && client->speaking) client->speaking->leave();
  }
  leave_timer_.arm_in(grace, [this] {
    for (Client* client : open_clients()) {
      if (client->removed()) client->close_idle();
    }
  });
}

std::vector<Server::Client*> Server::open_clients() const { return {clients_.begin(), clients_.end()}; }

rt::Task<void> Server::drain(base::SteadyTime deadline, base::SteadyTime idle_until) {
  // The last words of what is given up.
  constexpr auto kLastWords = std::chrono::seconds(1);
  draining_ = true;
  rt::Timer idle_timer(loop_);
  for (Client* client : open_clients()) {
    if (client->speaking) client->speaking->leave();
  }
  auto close_idle = [this] {
    idle_over_ = true;
    for (Client* client : open_clients()) client->close_idle();
  };
  if (idle_until <= loop_.now()) {
    close_idle();
  } else {
    idle_timer.arm_at(idle_until, close_idle);
  }
  rt::Timer give_up_timer(loop_);
  give_up_timer.arm_at(deadline, [this] {
    for (Client* client : open_clients()) {
      if (client->speaking) client->speaking->give_up();
    }
  });
  rt::Timer cut_timer(loop_);
  cut_timer.arm_at(deadline + kLastWords, [this] {
    for (Client* client : open_clients()) client->stream.cut();
  });
  co_await scope_.idle();
}

}  // namespace penstock::http
