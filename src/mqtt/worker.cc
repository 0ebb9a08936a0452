#include "mqtt/worker.h"

#include <fmt/format.h>
#include <mosquitto.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

#include "mqtt/reason.h"
#include "obs/log.h"

namespace penstock::mqtt {
namespace {

using namespace std::chrono_literals;

constexpr base::Duration kBackoffLeast = 500ms;
constexpr base::Duration kBackoffMost = 30s;
// From the TCP connection to CONNACK.
constexpr base::Duration kGreetingWithin = 10s;
// A connection that lasted this long was a good one: the next wait starts small again. Shorter ones (two clients with
// one id throwing each other out) keep growing.
constexpr base::Duration kGoodSession = 5s;
// Packets read before the samples go on and other work gets its turn.
constexpr int kBurstMax = 256;
// Unacknowledged messages at QoS 1 and 2; the library holds them for retransmission.
constexpr std::size_t kInFlightMax = 100;
// How often the library looks at its keepalive.
constexpr int kMiscMillis = 1000;

base::SteadyTime now() { return base::system_clock().steady(); }

}  // namespace

WakeDescriptor::WakeDescriptor() : fd_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {}
WakeDescriptor::~WakeDescriptor() {
  if (fd_ >= 0) close(fd_);
}
void WakeDescriptor::signal() const { eventfd_write(fd_, 1); }
void WakeDescriptor::drain() const {
  eventfd_t count = 0;
  eventfd_read(fd_, &count);
}

Worker::Worker(Options options, std::vector<Subscription> subscriptions, Handlers handlers, std::size_t queue_max)
    : options_(std::move(options)),
      subscriptions_(std::move(subscriptions)),
      queue_(queue_max),
      backoff_(kBackoffLeast, kBackoffMost),
      detail_("connecting to " + options_.address()),
      handlers_(std::move(handlers)) {}

Worker::~Worker() {
  if (mosq_ != nullptr) mosquitto_destroy(mosq_);
}

Result<void> Worker::prepare() {
  if (wake_.get() < 0) return fail(Errc::resource_exhausted, "no file descriptor is left for a MQTT connection");
  auto configured = configure();
  if (!configured) set_status(false, fmt::format("{}: {}", options_.address(), configured.error().detail));
  return configured;
}

bool Worker::publish(Outgoing message) {
  const bool kept_all = queue_.push(std::move(message));
  if (!kept_all) dropped_.fetch_add(1, std::memory_order_relaxed);
  wake();
  return kept_all;
}

ConnectionStatus Worker::status() const {
  std::lock_guard lock(status_mutex_);
  return {.connected = connected_,
          .detail = detail_,
          .received = received_.load(std::memory_order_relaxed),
          .delivered = delivered_.load(std::memory_order_relaxed),
          .dropped = dropped_.load(std::memory_order_relaxed)};
}

void Worker::set_status(bool connected, std::string detail) {
  std::lock_guard lock(status_mutex_);
  connected_ = connected;
  detail_ = std::move(detail);
}

void Worker::stop(base::Duration flush) {
  flush_until_ = now() + flush;
  stop_asked_.store(true, std::memory_order_release);
  wake();
  {
    std::unique_lock lock(end_mutex_);
    end_.wait_for(lock, flush + 500ms, [this] { return ended_; });
  }
  // The thread may still hang in a name lookup; it ends after it, and meets no handler any more.
  std::lock_guard lock(handlers_mutex_);
  handlers_ = {};
}

void Worker::run() {
  // Signals are the main thread's, and SIGPIPE, which OpenSSL's writes may raise, is nobody's.
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_BLOCK, &all, nullptr);
  while (!stopping() || !flush_done()) {
    std::string reason;
    if (auto connected = connect(); connected) {
      const base::SteadyTime began = now();
      reason = session();
      if (now() - began >= kGoodSession) backoff_.reset();
    } else {
      reason = std::move(connected.error().detail);
    }
    greeted_ = false;
    ever_failed_ = true;
    dropped_.fetch_add(std::exchange(unwritten_, 0), std::memory_order_relaxed);
    if (stopping()) break;
    report_loss(reason);
    if (!wait_before_retry()) break;
  }
  dropped_.fetch_add(queue_.size() + in_flight(), std::memory_order_relaxed);
  set_status(false, "stopped");
  std::lock_guard lock(end_mutex_);
  ended_ = true;
  end_.notify_all();
}

// The log hears of every change, not of every attempt.
void Worker::report_loss(const std::string& reason) {
  set_status(false, fmt::format("{}: {}", options_.address(), reason));
  if (reason == last_loss_) return;
  last_loss_ = reason;
  obs::log(obs::Level::warn, "mqtt: not connected", {{"broker", options_.address()}, {"why", reason}});
}

// True when a stopping worker has nothing more to send or no more time for it.
bool Worker::flush_done() const {
  return (queue_.size() == 0 && in_flight() == 0) || now() >= flush_until_ || ever_failed_;
}

// False when asked to stop meanwhile.
bool Worker::wait_before_retry() {
  const base::SteadyTime until = now() + backoff_.next();
  while (!stopping()) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - now()).count();
    if (left <= 0) return true;
    pollfd waiting{wake_.get(), POLLIN, 0};
    poll(&waiting, 1, static_cast<int>(left));
    wake_.drain();
  }
  return false;
}

std::string Worker::session() {
  const base::SteadyTime greeting_until = now() + kGreetingWithin;
  end_reason_.clear();
  int code = MOSQ_ERR_SUCCESS;
  int error_number = 0;
  while (code == MOSQ_ERR_SUCCESS) {
    if (stopping() && (flush_done() || subscriptions_.size() > 0)) {
      mosquitto_disconnect(mosq_);
      return "stopped";
    }
    if (!greeted_ && now() >= greeting_until) {
      mosquitto_disconnect(mosq_);
      return "no answer to the MQTT greeting within 10 s: is it a broker's port?";
    }
    errno = 0;
    code = serve_once();
    error_number = errno;
  }
  return end_reason_.empty() ? disconnect_reason(code, error_number, library_log_) : end_reason_;
}

// Waits for something to do and does it. A code of libmosquitto.
int Worker::serve_once() {
  send_queued();
  const int socket = mosquitto_socket(mosq_);
  if (socket < 0) return MOSQ_ERR_CONN_LOST;
  const bool writing = mosquitto_want_write(mosq_);
  std::array<pollfd, 2> waiting{
      {{socket, static_cast<short>(writing ? POLLIN | POLLOUT : POLLIN), 0}, {wake_.get(), POLLIN, 0}}};
  const int timeout = stopping() ? 20 : kMiscMillis;
  if (poll(waiting.data(), waiting.size(), timeout) < 0 && errno != EINTR) return MOSQ_ERR_ERRNO;
  if (waiting[1].revents != 0) wake_.drain();
  if ((waiting[0].revents & (POLLIN | POLLERR | POLLHUP)) != 0) {
    if (const int code = read_burst(); code != MOSQ_ERR_SUCCESS) return code;
  }
  if ((waiting[0].revents & POLLOUT) != 0) {
    if (const int code = mosquitto_loop_write(mosq_, 1); code != MOSQ_ERR_SUCCESS) return code;
  }
  return mosquitto_loop_misc(mosq_);
}

// The library reads one packet per call; reading on until the socket is empty saves a poll for each. It leaves EAGAIN
// in errno when it found nothing more.
int Worker::read_burst() {
  std::lock_guard lock(handlers_mutex_);
  int code = MOSQ_ERR_SUCCESS;
  for (int packets = 0; packets < kBurstMax; ++packets) {
    errno = 0;
    code = mosquitto_loop_read(mosq_, 1);
    if (code != MOSQ_ERR_SUCCESS || errno == EAGAIN || mosquitto_socket(mosq_) < 0) break;
  }
  if (burst_open_ && handlers_.burst_end) {
    const int kept = errno;
    handlers_.burst_end();
    errno = kept;
  }
  burst_open_ = false;
  return code;
}

bool Worker::sendable() const { return greeted_ && in_flight() < kInFlightMax && !mosquitto_want_write(mosq_); }

void Worker::send_queued() {
  while (sendable()) {
    std::optional<Outgoing> next = queue_.pop();
    if (!next) return;
    if (next->qos == 0) ++unwritten_;
    int id = 0;
    const int code = mosquitto_publish_v5(mosq_, &id, next->topic.c_str(), static_cast<int>(next->payload.size()),
                                          next->payload.data(), next->qos, next->retain, nullptr);
    if (code == MOSQ_ERR_SUCCESS) {
      if (next->qos > 0) unacknowledged_.insert(id);
      continue;
    }
    if (next->qos == 0) --unwritten_;
    if (code == MOSQ_ERR_NO_CONN) {
      if (!queue_.put_back(std::move(*next))) dropped_.fetch_add(1, std::memory_order_relaxed);
      return;
    }
    dropped_.fetch_add(1, std::memory_order_relaxed);
    set_status(true, fmt::format("{}: a message was not sent: {}", options_.address(), mosquitto_strerror(code)));
  }
}

}  // namespace penstock::mqtt
