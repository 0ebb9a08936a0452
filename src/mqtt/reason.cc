#include "mqtt/reason.h"

#include <fmt/format.h>
#include <mosquitto.h>
#include <mqtt_protocol.h>
#include <netdb.h>

#include <cerrno>
#include <system_error>

namespace penstock::mqtt {
namespace {

std::string system_text(int error_number) { return std::generic_category().message(error_number); }

std::string tls_reason(std::string_view log) {
  if (log.find("certificate verify failed") != std::string_view::npos) {
    return "TLS: the broker's certificate is not trusted: name the authority that signed it in `tls.ca`";
  }
  if (log.find("host name verification failed") != std::string_view::npos) {
    return "TLS: the broker's certificate names another host than the address";
  }
  if (log.find("wrong version number") != std::string_view::npos) {
    return "TLS: the other side does not speak TLS on this port: is it the port of mqtt://?";
  }
  if (log.find("Unable to load") != std::string_view::npos || log.find("inconsistent") != std::string_view::npos) {
    return fmt::format("TLS: {}", log);
  }
  const std::size_t last = log.rfind("::");
  if (last != std::string_view::npos) log.remove_prefix(last + 2);
  return log.empty() ? std::string("TLS: the handshake failed") : fmt::format("TLS: {}", log);
}

}  // namespace

std::string connect_refusal(Version version, int code) {
  switch (code) {
    case CONNACK_REFUSED_PROTOCOL_VERSION:
    case MQTT_RC_UNSUPPORTED_PROTOCOL_VERSION:
      return fmt::format("the broker does not speak MQTT {}: set `version: {}`", version == Version::v5 ? "5" : "3.1.1",
                         version == Version::v5 ? "3.1.1" : "5");
    case CONNACK_REFUSED_IDENTIFIER_REJECTED:
    case MQTT_RC_CLIENTID_NOT_VALID: return "the broker refused the client id: set another `client_id`";
    case CONNACK_REFUSED_SERVER_UNAVAILABLE:
    case MQTT_RC_SERVER_UNAVAILABLE:
    case MQTT_RC_SERVER_BUSY: return "the broker says it is unavailable";
    case CONNACK_REFUSED_BAD_USERNAME_PASSWORD:
    case MQTT_RC_BAD_USERNAME_OR_PASSWORD: return "wrong user name or password: check `username` and `password`";
    // Mosquitto answers a wrong password with "not authorized".
    case CONNACK_REFUSED_NOT_AUTHORIZED:
    case MQTT_RC_NOT_AUTHORIZED:
      return "not authorized: wrong user name or password, or this client may not connect; check `username` and "
             "`password`";
    case MQTT_RC_BANNED: return "the broker has banned this client";
    default:
      return fmt::format("the broker refused the connection: {}",
                         code >= 128 ? mosquitto_reason_string(code) : mosquitto_connack_string(code));
  }
}

std::string request_refusal(int code) {
  if (code == MQTT_RC_NOT_AUTHORIZED || code == MQTT_RC_UNSPECIFIED) {
    return "not authorized: the broker's access list does not allow it for this user";
  }
  std::string text = mosquitto_reason_string(code);
  while (text.ends_with('.')) text.pop_back();
  return text;
}

std::string disconnect_reason(int code, int error_number, std::string_view library_log) {
  switch (code) {
    case MQTT_RC_SESSION_TAKEN_OVER: return "another client with the same `client_id` took over the session";
    case MQTT_RC_SERVER_SHUTTING_DOWN: return "the broker is shutting down";
    case MQTT_RC_KEEP_ALIVE_TIMEOUT:
    case MOSQ_ERR_KEEPALIVE: return "the broker stopped answering";
    case MOSQ_ERR_TLS: return tls_reason(library_log);
    case MOSQ_ERR_ERRNO: return error_number == 0 ? "the broker closed the connection" : socket_reason(error_number);
    case MOSQ_ERR_CONN_LOST: return "the broker closed the connection";
    case MOSQ_ERR_PROTOCOL:
    case MOSQ_ERR_MALFORMED_PACKET: return "the other side broke the MQTT protocol: is it a broker?";
    default: {
      std::string text = code >= 128 ? mosquitto_reason_string(code) : mosquitto_strerror(code);
      while (text.ends_with('.')) text.pop_back();
      return text;
    }
  }
}

std::string socket_reason(int error_number) {
  switch (error_number) {
    case ECONNREFUSED: return "connection refused: no broker listens there";
    case ETIMEDOUT: return "no answer: the host is down or a firewall drops the packets";
    case EHOSTUNREACH:
    case ENETUNREACH: return "unreachable: there is no route to the host";
    case ECONNRESET:
    case EPIPE: return "the broker closed the connection";
    default: return system_text(error_number);
  }
}

std::string lookup_reason(std::string_view host, int code) {
  return fmt::format("the name '{}' has no address: {}", host, gai_strerror(code));
}

}  // namespace penstock::mqtt
