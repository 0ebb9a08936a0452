#include "ext/filters/keys/keys_filter.h"

#include "flow/permission.h"

namespace penstock::ext {
namespace {

std::string credential_of(const http::Request& request) {
  std::string_view authorization = request.field(wire::FieldId::authorization);
  constexpr std::string_view kBearer = "bearer ";
  if (authorization.size() > kBearer.size() &&
      wire::equal_ignoring_case(authorization.substr(0, kBearer.size()), kBearer)) {
    std::string_view token = authorization.substr(kBearer.size());
    while (token.starts_with(' ')) token.remove_prefix(1);
    return std::string(token);
  }
  for (wire::FieldId id : {wire::FieldId::x_api_key, wire::FieldId::x_goog_api_key, wire::FieldId::api_key}) {
    if (std::string_view value = request.field(id); !value.empty()) return std::string(value);
  }
  // Browsers cannot send headers of their own with a WebSocket; OpenAI's realtime API takes the key in this place.
  std::string_view protocols = request.field("sec-websocket-protocol");
  constexpr std::string_view kInProtocols = "openai-insecure-api-key.";
  if (std::size_t at = protocols.find(kInProtocols); at != std::string_view::npos) {
    std::string_view key = protocols.substr(at + kInProtocols.size());
    return std::string(key.substr(0, key.find_first_of(", \t")));
  }
  return http::query_value(request.query, "key");
}

// By the credential that was sent, else by the client certificate: SDKs want some key, so one that nobody knows does
// not stand in the way of a certificate.
Result<const flow::Key*> find_key(flow::Call& call) {
  const flow::KeyTable& keys = call.policy->keys();
  std::string credential = credential_of(call.exchange.request());
  const std::string& identity = call.exchange.peer().tls.identity;
  const flow::Key* key = credential.empty() ? nullptr : keys.find(credential, call.event.at);
  if (!key && !identity.empty()) key = keys.find_identity(identity);
  if (key) return key;
  call.wrong_key = !credential.empty();
  if (call.wrong_key) return fail(Errc::unauthenticated, "this API key is not known to the gateway, or was revoked");
  if (!identity.empty()) {
    return fail(Errc::unauthenticated,
                fmt::format("no API key was sent, and no key is bound to the identity '{}' of the client certificate",
                            identity));
  }
  return fail(Errc::unauthenticated,
              "no API key was sent; send one as 'Authorization: Bearer <key>' (`penstock key create` makes one)");
}

}  // namespace

Result<void> KeysFilter::on_head(flow::Call& call) {
  bool open = call.policy->open_to_all();
  if (open && call.policy->keys().empty()) return {};
  auto found = find_key(call);
  // Who shows a device's credential is that device, also where nobody needs one.
  if (!found && open) return {};
  if (!found) return std::unexpected(found.error());
  call.key = *found;
  call.team = call.policy->teams().find(call.key->profile().team);
  auto fine = flow::check_caller(call);
  if (fine) {
    call.policy->keys().note_use(*call.key, call.event.at);
  } else {
    call.key = nullptr;
    call.team = nullptr;
  }
  return fine;
}

rt::Task<Result<void>> KeysFilter::on_request(flow::Call& call) {
  return rt::Task<Result<void>>::ready(flow::check_request(call));
}

}  // namespace penstock::ext
