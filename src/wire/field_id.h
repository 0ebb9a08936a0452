// The field names this code base asks for, resolved once while a head is parsed.
#pragma once

#include <cstdint>
#include <string_view>

namespace penstock::wire {

// In the order of their names in field_id.cc. A new name is one line in each.
enum class FieldId : std::uint8_t {
  other,  // every name that is not listed
  accept,
  accept_encoding,
  anthropic_beta,
  anthropic_version,
  api_key,
  authorization,
  cache_control,
  connection,
  content_encoding,
  content_length,
  content_type,
  cookie,
  date,
  expect,
  forwarded,
  host,
  idempotency_key,
  inference_header_content_length,
  keep_alive,
  last_event_id,
  location,
  openai_organization,
  openai_project,
  origin,
  proxy_authenticate,
  proxy_authorization,
  proxy_connection,
  retry_after,
  sec_websocket_key,
  sec_websocket_version,
  server,
  set_cookie,
  te,
  traceparent,
  tracestate,
  trailer,
  transfer_encoding,
  upgrade,
  user_agent,
  vary,
  via,
  www_authenticate,
  x_api_key,
  x_forwarded_for,
  x_goog_api_key,
  x_request_id,
  count
};

constexpr std::size_t kFieldIds = static_cast<std::size_t>(FieldId::count);

// Compares without case. What it knows is a valid field name.
FieldId field_id(std::string_view name);
// In lower case; empty for `other`.
std::string_view field_name(FieldId id);

}  // namespace penstock::wire
