// Making the connection: the library's settings, name lookup, TCP.
#include <arpa/inet.h>
#include <fmt/format.h>
#include <mosquitto.h>
#include <mqtt_protocol.h>
#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>

#include "mqtt/client_id.h"
#include "mqtt/embedded.h"
#include "mqtt/reason.h"
#include "mqtt/worker.h"
#include "net/egress.h"

namespace penstock::mqtt {
namespace {

using namespace std::chrono_literals;

constexpr base::Duration kConnectWithin = 10s;
// Messages above QoS 0 that a broker may send before the first is acknowledged, with MQTT 5; below it decides itself.
constexpr int kReceiveMax = 1024;

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
  if (client_id_.empty()) {
    if (!options_.client_id.empty()) {
      client_id_ = options_.client_id;
    } else if (options_.session.count() > 0 && !options_.identity.data_dir.empty()) {
      auto stable = stable_client_id(options_.identity);
      if (!stable) return std::unexpected(stable.error());
      client_id_ = std::move(*stable);
    } else {
      client_id_ = random_client_id();
    }
  }
  mosq_ = mosquitto_new(client_id_.c_str(), options_.session.count() == 0, this);
  if (mosq_ == nullptr) return fail(Errc::resource_exhausted, "no memory for a MQTT connection");
  install_callbacks();
  mosquitto_int_option(mosq_, MOSQ_OPT_PROTOCOL_VERSION,
                       options_.version == Version::v5 ? MQTT_PROTOCOL_V5 : MQTT_PROTOCOL_V311);
  mosquitto_int_option(mosq_, MOSQ_OPT_TCP_NODELAY, 1);
  mosquitto_int_option(mosq_, MOSQ_OPT_RECEIVE_MAXIMUM, kReceiveMax);
  mosquitto_max_inflight_messages_set(mosq_, 0);  // the worker bounds them
  // Its thread is another's: the library then writes nothing by itself, see Worker::write_out().
  mosquitto_threaded_set(mosq_, true);
  if (!options_.username.empty()) set_credentials(options_.username, options_.password);
  return options_.tls ? configure_tls() : Result<void>();
}

void Worker::set_credentials(const std::string& username, const base::Secret& password) {
  const std::string revealed(password.reveal());
  mosquitto_username_pw_set(mosq_, username.c_str(), password.empty() ? nullptr : revealed.c_str());
}

void Worker::set_will() {
  std::optional<Will> will = options_.will;
  {
    std::lock_guard lock(handlers_mutex_);
    will_speaks_ = handlers_.will != nullptr;
    if (will_speaks_) will = handlers_.will();
  }
  if (!will) return;
  mosquitto_will_clear(mosq_);
  mosquitto_will_set(mosq_, will->topic.c_str(), static_cast<int>(will->payload.size()), will->payload.data(),
                     will->qos, will->retain);
}

// Its credentials change with every start of the gateway, its address with the configuration.
Result<void> Worker::take_embedded() {
  const auto found = Embedded::find();
  if (!found) return fail(Errc::unavailable, "it is not running");
  set_credentials(found->username, found->password);
  return connect_blocking(found->host, found->port);
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
  if (mosq_ == nullptr) {
    if (auto configured = configure(); !configured) return configured;
  }
  set_will();
  if (options_.embedded) return take_embedded();
  auto hosts = lookup();
  if (!hosts) return std::unexpected(hosts.error());
  if (stopping() && flush_done()) return fail(Errc::cancelled, "stopped");
  if (options_.tls && hosts->size() > 1) return connect_blocking(options_.host, options_.port);
  return connect_any(*hosts);
}

Result<void> Worker::connect_any(const std::vector<std::string>& hosts) {
  Result<void> result = fail(Errc::unavailable, lookup_reason(options_.host, EAI_NONAME));
  for (const std::string& host : hosts) {
    result = connect_one(options_.tls ? options_.host : host, host);
    if (result || stopping()) break;
  }
  return result;
}

Result<void> Worker::connect_one(const std::string& host, const std::string& numeric_host) {
  // The library takes the session's length in its blocking call only, which waits for minutes where nobody answers.
  if (options_.version == Version::v5 && options_.session.count() > 0) {
    if (auto reached = probe(numeric_host); !reached) return reached;
    return connect_blocking(host, options_.port);
  }
  errno = 0;
  const int code =
      mosquitto_connect_async(mosq_, host.c_str(), options_.port, static_cast<int>(options_.keepalive.count()));
  if (code != MOSQ_ERR_SUCCESS) return fail(Errc::unavailable, disconnect_reason(code, errno, library_log_));
  return await_socket(mosquitto_socket(mosq_));
}

// Port 0: a local socket.
Result<void> Worker::connect_blocking(const std::string& host, int port) {
  mosquitto_property* properties = nullptr;
  if (options_.version == Version::v5 && options_.session.count() > 0) {
    mosquitto_property_add_int32(&properties, MQTT_PROP_SESSION_EXPIRY_INTERVAL,
                                 static_cast<std::uint32_t>(options_.session.count()));
  }
  errno = 0;
  const int code = mosquitto_connect_bind_v5(mosq_, host.c_str(), port, static_cast<int>(options_.keepalive.count()),
                                             nullptr, properties);
  const int error_number = errno;
  mosquitto_property_free_all(&properties);
  if (code == MOSQ_ERR_SUCCESS) return {};
  return fail(Errc::unavailable, disconnect_reason(code, error_number, library_log_));
}

// Whether somebody accepts connections there.
Result<void> Worker::probe(const std::string& numeric_host) const {
  auto endpoint = net::parse_endpoint({numeric_host, options_.port});
  if (!endpoint) return std::unexpected(endpoint.error());
  const int fd = ::socket(endpoint->storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return fail(Errc::resource_exhausted, socket_reason(errno));
  Result<void> reached;
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&endpoint->storage), endpoint->length) != 0) {
    reached = errno == EINPROGRESS ? await_socket(fd) : Result<void>(fail(Errc::unavailable, socket_reason(errno)));
  }
  ::close(fd);
  return reached;
}

// Waits for the TCP connection, so that its failure can be told apart from the broker's.
Result<void> Worker::await_socket(int socket) const {
  const base::SteadyTime until = base::system_clock().steady() + kConnectWithin;
  std::array<pollfd, 2> waiting{{{socket, POLLOUT, 0}, {wake_->get(), POLLIN, 0}}};
  while (waiting[0].revents == 0) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - base::system_clock().steady()).count();
    if (left <= 0) return fail(Errc::deadline_exceeded, socket_reason(ETIMEDOUT));
    poll(waiting.data(), waiting.size(), static_cast<int>(left));
    if (waiting[1].revents != 0) wake_->drain();
    if (stopping() && flush_done()) return fail(Errc::cancelled, "stopped");
  }
  int error = 0;
  socklen_t size = sizeof error;
  getsockopt(socket, SOL_SOCKET, SO_ERROR, &error, &size);
  if (error != 0) return fail(Errc::unavailable, socket_reason(error));
  return {};
}

}  // namespace penstock::mqtt
