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

Server::Server(rt::Loop& loop, Handler handler, ErrorBody error_body, ServerLimits limits)
    : loop_(loop),
      handler_(std::move(handler)),
      error_body_(std::move(error_body)),
      limits_(limits),
      scope_(loop),
      leave_timer_(loop) {}

Server::~Server() = default;

void Server::accept(int fd, const net::Endpoint& peer, std::shared_ptr<const ListenerOptions> listener) {
  if (draining_ || clients_.size() >= limits_.connections_max) {
    ::close(fd);
    return;
  }
  static const auto kDefault = std::make_shared<const ListenerOptions>();
  scope_.spawn(serve(fd, Peer{peer, nullptr, {}}, listener ? std::move(listener) : kDefault));
}

rt::Task<void> Server::serve(int fd, Peer peer, std::shared_ptr<const ListenerOptions> listener) {
  Client client(loop_, fd, std::move(peer), std::move(listener));
  clients_.insert(&client);
  bool opened = co_await open(client);
  if (opened && (draining_ || client.is_leaving())) client.drain();
  if (opened) co_await client.speaking->run();
  clients_.erase(&client);
}

// Whom it is about, the handshake, and what the client speaks. False when it is gone.
rt::Task<bool> Server::open(Client& client) {
  const ListenerOptions& listener = *client.listener;
  if (listener.proxy_protocol) {
    auto told = co_await take_proxy_header(client.stream, listener, limits_.proxy_timeout, client.peer.endpoint);
    if (!told) co_return false;
  }
  if (listener.trusted_proxies && net::contains(*listener.trusted_proxies, client.peer.endpoint))
    client.peer.trusted_proxies = listener.trusted_proxies;
  bool h2 = false;
  if (listener.tls) {
    bool shaken = co_await shake_hands(client);
    if (!shaken) co_return false;
    h2 = client.peer.tls.alpn == "h2";
  } else if (listener.h2c) {
    auto preface = co_await begins_with_preface(client);
    if (!preface) co_return false;
    h2 = *preface;
  }
  if (h2) {
    client.speaking = std::make_unique<H2Connection>(*this, client.stream, client.peer, std::move(client.early));
  } else {
    client.speaking = std::make_unique<ServerConnection>(*this, client.stream, client.peer, std::move(client.early));
  }
  co_return true;
}

rt::Task<bool> Server::shake_hands(Client& client) {
  client.stream.set_deadline(std::chrono::steady_clock::now() + limits_.head_timeout);
  auto shaken = co_await client.stream.start_tls_server(client.listener->tls);
  if (shaken) {
    client.peer.tls = client.stream.tls_facts();
    co_return true;
  }
  ServerConnection refused(*this, client.stream, client.peer, {});
  co_await refused.refuse_handshake(shaken.error());
  co_return false;
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

// What is done to one may end it.
template <class What>
void Server::each_client(What what) {
  std::vector<Client*> open(clients_.begin(), clients_.end());
  for (Client* client : open) what(*client);
}

void Server::leave_removed(base::Duration grace) {
  each_client([](Client& client) {
    if (client.is_leaving()) client.drain();
  });
  leave_timer_.arm_in(grace, [this] {
    each_client([](Client& client) {
      if (client.is_leaving()) client.end_idle();
    });
  });
}

rt::Task<void> Server::drain(base::SteadyTime deadline, base::SteadyTime idle_until) {
  // The last words of what is given up.
  constexpr auto kLastWords = std::chrono::seconds(1);
  draining_ = true;
  each_client([](Client& client) { client.drain(); });
  auto end_idle = [this] { each_client([](Client& client) { client.end_idle(); }); };
  rt::Timer idle_timer(loop_);
  if (idle_until <= loop_.now()) {
    end_idle();
  } else {
    idle_timer.arm_at(idle_until, end_idle);
  }
  rt::Timer give_up_timer(loop_);
  give_up_timer.arm_at(deadline, [this] {
    each_client([](Client& client) {
      if (client.speaking) client.speaking->give_up();
    });
  });
  rt::Timer cut_timer(loop_);
  cut_timer.arm_at(deadline + kLastWords, [this] { each_client([](Client& client) { client.stream.cut(); }); });
  co_await scope_.idle();
}

}  // namespace penstock::http
