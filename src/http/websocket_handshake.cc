#include "http/websocket_handshake.h"

#include "wire/chars.h"
#include "wire/websocket_handshake.h"

namespace penstock::http {
namespace {

constexpr std::string_view kProtocols = "sec-websocket-protocol";
constexpr std::string_view kExtensions = "sec-websocket-extensions";

// A list may come in several fields (RFC 9110 section 5.3).
std::string joined(const Fields& fields, std::string_view name) {
  std::string all;
  for (std::size_t i = 0; i < fields.size(); ++i) {
    auto field = fields.at(i);
    if (!wire::equal_ignoring_case(field.name, name)) continue;
    if (!all.empty()) all += ", ";
    all += field.value;
  }
  return all;
}

// The tokens of all fields of that name; nothing when one is malformed or there twice.
std::optional<std::vector<std::string_view>> tokens_of(const Fields& fields, std::string_view name) {
  std::vector<std::string_view> tokens;
  for (std::size_t i = 0; i < fields.size(); ++i) {
    auto field = fields.at(i);
    if (!wire::equal_ignoring_case(field.name, name)) continue;
    std::string_view list = field.value;
    while (!list.empty()) {
      std::string_view item = list.substr(0, list.find(','));
      list.remove_prefix(std::min(item.size() + 1, list.size()));
      while (!item.empty() && wire::is_blank(item.front())) item.remove_prefix(1);
      while (!item.empty() && wire::is_blank(item.back())) item.remove_suffix(1);
      bool token = !item.empty() && std::all_of(item.begin(), item.end(), wire::is_token);
      if (!token || std::find(tokens.begin(), tokens.end(), item) != tokens.end()) return std::nullopt;
      tokens.push_back(item);
    }
  }
  return tokens;
}

std::unexpected<WebSocketRefusal> refuse(int status, Errc code, std::string detail) {
  return std::unexpected(WebSocketRefusal{status, {code, std::move(detail)}});
}

// RFC 6455 section 10.2: a browser says which page opens the connection, and nobody else has to.
bool page_may_connect(const Request& request, std::span<const std::string> origins) {
  std::string_view origin = request.field(wire::FieldId::origin);
  if (origin.empty()) return true;
  for (const std::string& allowed : origins) {
    if (allowed == "*" || wire::equal_ignoring_case(allowed, origin)) return true;
  }
  std::size_t scheme_end = origin.find("://");
  if (scheme_end == std::string_view::npos) return false;
  return wire::equal_ignoring_case(origin.substr(scheme_end + 3), request.field(wire::FieldId::host));
}

}  // namespace

bool WebSocketOffer::offers(std::string_view protocol) const {
  return std::find(protocols.begin(), protocols.end(), protocol) != protocols.end();
}

std::expected<WebSocketOffer, WebSocketRefusal> read_websocket_offer(const Exchange& exchange,
                                                                     std::span<const std::string> origins) {
  const Request& request = exchange.request();
  const Fields& fields = *request.fields;
  bool asks = request.method == "GET" && exchange.can_upgrade() &&
              wire::list_holds(joined(fields, "upgrade"), "websocket") &&
              wire::list_holds(joined(fields, "connection"), "upgrade");
  if (!asks) {
    return refuse(426, Errc::invalid_argument,
                  "this path speaks WebSocket: connect with a WebSocket client, over HTTP/1.1");
  }
  if (request.field(wire::FieldId::sec_websocket_version) != wire::kWebSocketVersion)
    return refuse(426, Errc::invalid_argument, "only version 13 of WebSocket is spoken here (RFC 6455)");
  std::string_view key = request.field(wire::FieldId::sec_websocket_key);
  if (!wire::is_websocket_key(key))
    return refuse(400, Errc::invalid_argument, "sec-websocket-key must be 16 bytes in base64");
  auto protocols = tokens_of(fields, kProtocols);
  if (!protocols)
    return refuse(400, Errc::invalid_argument, "sec-websocket-protocol must be a list of tokens, each of them once");
  if (!page_may_connect(request, origins)) {
    return refuse(403, Errc::permission_denied,
                  fmt::format("pages from {} may not connect here; `websocket: {{ origins: [...] }}` in the "
                              "configuration lets them",
                              request.field(wire::FieldId::origin).substr(0, 200)));
  }
  return WebSocketOffer{wire::websocket_accept(key), std::move(*protocols), joined(fields, kExtensions)};
}

rt::Task<Result<std::unique_ptr<WebSocket>>> accept_websocket(Exchange& exchange, WebSocketOffer offer,
                                                              std::string protocol, ResponseHead head,
                                                              WebSocketOptions options) {
  head.add_lines("upgrade: websocket\r\nconnection: Upgrade\r\nsec-websocket-accept: ", offer.accept, "\r\n");
  if (!protocol.empty()) head.add(kProtocols, protocol);
  auto deflate = wire::accept_deflate(offer.extensions, options.deflate);
  if (deflate) head.add(kExtensions, wire::deflate_answer(*deflate));
  auto upgraded = co_await exchange.upgrade(std::move(head));
  if (!upgraded) co_return std::unexpected(upgraded.error());
  co_return std::make_unique<WebSocket>(wire::WebSocketRole::server, *upgraded->stream, std::move(upgraded->received),
                                        deflate, options);
}

WebSocketRequest::WebSocketRequest(std::string protocols_wanted, const WebSocketOptions& as)
    : key(wire::new_websocket_key()), protocols(std::move(protocols_wanted)), options(as) {}

std::string WebSocketRequest::lines() const {
  std::string lines =
      fmt::format("upgrade: websocket\r\nconnection: Upgrade\r\nsec-websocket-version: {}\r\nsec-websocket-key: {}\r\n",
                  wire::kWebSocketVersion, key);
  if (!protocols.empty()) lines += fmt::format("{}: {}\r\n", kProtocols, protocols);
  std::string offer = wire::deflate_offer(options.deflate);
  if (!offer.empty()) lines += fmt::format("{}: {}\r\n", kExtensions, offer);
  return lines;
}

std::string_view chosen_protocol(const ClientCall& call) { return call.fields().get(kProtocols); }

Result<std::unique_ptr<WebSocket>> open_websocket(ClientCall& call, const WebSocketRequest& request) {
  const Fields& fields = call.fields();
  bool switched = call.status() == 101 && wire::list_holds(joined(fields, "upgrade"), "websocket") &&
                  wire::list_holds(joined(fields, "connection"), "upgrade");
  if (!switched) return fail(Errc::protocol_error, "the other side did not switch to WebSocket");
  if (fields.get("sec-websocket-accept") != wire::websocket_accept(request.key))
    return fail(Errc::protocol_error, "sec-websocket-accept is not the answer to the key that was sent");
  std::string_view protocol = chosen_protocol(call);
  if (!protocol.empty() && !wire::list_holds(request.protocols, protocol))
    return fail(Errc::protocol_error, "the other side chose a subprotocol that was not offered to it");
  auto deflate = wire::read_deflate_answer(joined(fields, kExtensions));
  if (!deflate) return std::unexpected(deflate.error());
  if (*deflate && !request.options.deflate.enabled)
    return fail(Errc::protocol_error, "the other side chose an extension that was not offered to it");
  auto [connection, received] = call.take_upgraded();
  return std::make_unique<WebSocket>(wire::WebSocketRole::client, std::move(connection), std::move(received), *deflate,
                                     request.options);
}

}  // namespace penstock::http
