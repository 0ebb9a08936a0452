#include "http/proxy_header.h"

#include <netinet/in.h>

#include "wire/proxy_protocol.h"

namespace penstock::http {
namespace {

std::span<char> scratch() {
  thread_local std::array<char, wire::kProxyHeaderBytesMax> bytes;
  return bytes;
}

void name_client(const wire::ProxiedAddress& client, net::Endpoint& peer) {
  if (client.family == wire::ProxiedAddress::Family::none) return;
  peer = {};
  if (client.family == wire::ProxiedAddress::Family::ipv4) {
    auto& v4 = reinterpret_cast<sockaddr_in&>(peer.storage);
    v4.sin_family = AF_INET;
    v4.sin_port = htons(client.port);
    std::memcpy(&v4.sin_addr, client.source.data(), 4);
    peer.length = sizeof v4;
  } else {
    auto& v6 = reinterpret_cast<sockaddr_in6&>(peer.storage);
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(client.port);
    std::memcpy(&v6.sin6_addr, client.source.data(), 16);
    peer.length = sizeof v6;
  }
}

}  // namespace

rt::Task<Result<void>> take_proxy_header(net::Stream& stream, const ListenerOptions& listener, base::Duration patience,
                                         net::Endpoint& peer) {
  if (listener.trusted_proxies && !net::contains(*listener.trusted_proxies, peer))
    co_return fail(Errc::permission_denied, "only the listener's `trusted_proxies` may connect");
  stream.set_deadline(std::chrono::steady_clock::now() + patience);
  while (true) {
    auto ready = co_await stream.readable();
    if (!ready) co_return std::unexpected(ready.error());
    auto seen = stream.peek_now(scratch());
    if (!seen && seen.error().code == Errc::backpressure) continue;
    if (!seen) co_return std::unexpected(seen.error());
    auto header = wire::read_proxy_header({scratch().data(), *seen});
    if (!header) co_return fail(Errc::protocol_error, header.error());
    if (header->size == 0) {
      if (*seen == 0 || stream.hung_up())
        co_return fail(Errc::protocol_error, "the connection ended within its PROXY header");
      continue;
    }
    stream.clear_deadline();
    stream.take_peeked(header->size);
    name_client(header->client, peer);
    co_return Result<void>{};
  }
}

}  // namespace penstock::http
