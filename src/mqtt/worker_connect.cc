// Making the connection: the library's settings, name lookup, TCP.
#include <arpa/inet.h>
#include <fmt/format.h>
#include <mosquitto.h>
#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>

#include <cerrno>

#include "mqtt/reason.h"
#include "mqtt/worker.h"
#include "net/egress.h"

namespace penstock::mqtt {
namespace {

using namespace std::chrono_literals;

constexpr base::Duration kConnectWithin = 10s;

void init_library() {
  static const int once = mosquitto_lib_init();
  (void)once;
}

std::string random_client_id() { return "penstock-" + base::random_token(9); }

// The addresses of `found` that may be connected to, as text, in the order of preference the system gives (RFC 6724).
// The error is about the last one that may not, when none may, or with `all_must` when one may not.
Result<std::vector<std::string>> numeric(const addrinfo* found, bool all_must) {
  std::vector<std::string> hosts;
  Result<void> permitted;
  for (const addrinfo* one = found; one != nullptr; one = one->ai_next) {
    net::Endpoint endpoint;
    std::memcpy(&endpoint.storage, one->ai_addr, one->ai_addrlen);
    endpoint.length = one->ai_addrlen;
    if (auto verdict = net::Egress::check(endpoint); !verdict) {
      permitted = std::move(verdict);
      continue;
    }
    std::array<char, NI_MAXHOST> text{};
    if (getnameinfo(one->ai_addr, one->ai_addrlen, text.data(), text.size(), nullptr, 0, NI_NUMERICHOST) != 0) continue;
    hosts.emplace_back(text.data());
  }
  if (!permitted && (hosts.empty() || all_must)) return std::unexpected(permitted.error());
  return hosts;
}

}  // namespace

Result<void> Worker::configure() {
  init_library();
  const std::string id = options_.client_id.empty() ? random_client_id() : options_.client_id;
  mosq_ = mosquitto_new(id.c_str(), true, this);
  if (mosq_ == nullptr) return fail(Errc::resource_exhausted, "no memory for a MQTT connection");
  install_callbacks();
  mosquitto_int_option(mosq_, MOSQ_OPT_PROTOCOL_VERSION,
                       options_.version == Version::v5 ? MQTT_PROTOCOL_V5 : MQTT_PROTOCOL_V311);
  mosquitto_int_option(mosq_, MOSQ_OPT_TCP_NODELAY, 1);
  if (!options_.username.empty()) {
    const std::string password(options_.password.reveal());
    mosquitto_username_pw_set(mosq_, options_.username.c_str(), options_.password.empty() ? nullptr : password.c_str());
  }
  return options_.tls ? configure_tls() : Result<void>();
}

Result<void> Worker::configure_tls() {
  const auto or_null = [](const std::string& path) { return path.empty() ? nullptr : path.c_str(); };
  if (options_.ca.empty()) mosquitto_int_option(mosq_, MOSQ_OPT_TLS_USE_OS_CERTS, 1);
  if (!options_.ca.empty() || !options_.cert.empty()) {
    // The library wants some authority beside a client certificate: the machine's own folder stands for it.
    const char* folder = options_.ca.empty() ? "/etc/ssl/certs" : nullptr;
    const int code =
        mosquitto_tls_set(mosq_, or_null(options_.ca), folder, or_null(options_.cert), or_null(options_.key), nullptr);
    if (code != MOSQ_ERR_SUCCESS) {
      return fail(Errc::invalid_argument, "one of the files of `tls` (ca, cert, key) cannot be read");
    }
  }
  mosquitto_tls_opts_set(mosq_, 1 /* verify the broker */, "tlsv1.2" /* or newer */, nullptr);
  return {};
}

Result<std::vector<std::string>> Worker::lookup() const {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int code = getaddrinfo(options_.host.c_str(), nullptr, &hints, &found);
  if (code != 0) return fail(Errc::unavailable, lookup_reason(options_.host, code));
  // With TLS the library looks the name up again and takes any of its addresses.
  Result<std::vector<std::string>> hosts = numeric(found, options_.tls);
  freeaddrinfo(found);
  return hosts;
}

// Tries every address of the host. The library does that only in its blocking call; without TLS we give it one numeric
// address after the other. With TLS it needs the name to verify the certificate, so a name with several addresses takes
// the blocking call: this thread has nothing else to do.
Result<void> Worker::connect() {
  library_log_.clear();
  auto hosts = lookup();
  if (!hosts) return std::unexpected(hosts.error());
  if (stopping() && flush_done()) return fail(Errc::cancelled, "stopped");
  if (options_.tls && hosts->size() > 1) {
    errno = 0;
    const int code =
        mosquitto_connect(mosq_, options_.host.c_str(), options_.port, static_cast<int>(options_.keepalive.count()));
    if (code == MOSQ_ERR_SUCCESS) return {};
    return fail(Errc::unavailable, disconnect_reason(code, errno, library_log_));
  }
  Result<void> result = fail(Errc::unavailable, lookup_reason(options_.host, EAI_NONAME));
  for (const std::string& host : *hosts) {
    result = connect_one(options_.tls ? options_.host : host);
    if (result || stopping()) break;
  }
  return result;
}

Result<void> Worker::connect_one(const std::string& host) {
  errno = 0;
  const int code =
      mosquitto_connect_async(mosq_, host.c_str(), options_.port, static_cast<int>(options_.keepalive.count()));
  if (code != MOSQ_ERR_SUCCESS) return fail(Errc::unavailable, disconnect_reason(code, errno, library_log_));
  return await_socket();
}

// Waits for the TCP connection, so that its failure can be told apart from the broker's.
Result<void> Worker::await_socket() {
  const int socket = mosquitto_socket(mosq_);
  const base::SteadyTime until = base::system_clock().steady() + kConnectWithin;
  std::array<pollfd, 2> waiting{{{socket, POLLOUT, 0}, {wake_.get(), POLLIN, 0}}};
  while (waiting[0].revents == 0) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - base::system_clock().steady()).count();
    if (left <= 0) return fail(Errc::deadline_exceeded, socket_reason(ETIMEDOUT));
    poll(waiting.data(), waiting.size(), static_cast<int>(left));
    if (waiting[1].revents != 0) wake_.drain();
    if (stopping() && flush_done()) return fail(Errc::cancelled, "stopped");
  }
  int error = 0;
  socklen_t size = sizeof error;
  getsockopt(socket, SOL_SOCKET, SO_ERROR, &error, &size);
  if (error != 0) return fail(Errc::unavailable, socket_reason(error));
  return {};
}

}  // namespace penstock::mqtt
