#include "mqtt/worker.h"

#include <fmt/format.h>
#include <mosquitto.h>
#include <mqtt_protocol.h>
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
// Messages handed to the library and not yet written (QoS 0) or acknowledged.
constexpr std::size_t kInFlightMax = 1024;
// Between two attempts to store what was read.
constexpr base::Duration kStoreLeast = 50ms;
constexpr base::Duration kStoreMost = 2s;
// What is given at stop to a store that is under way, so that its messages need not come again.
constexpr base::Duration kStoreAtStop = 300ms;
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
      wants_properties_(std::any_of(subscriptions_.begin(), subscriptions_.end(),
                                    [](const Subscription& one) { return one.properties; })),
      wake_(std::make_shared<WakeDescriptor>()),
      backoff_(kBackoffLeast, kBackoffMost),
      detail_("connecting to " + options_.address()),
      handlers_(std::move(handlers)) {}

Worker::~Worker() {
  if (mosq_ != nullptr) mosquitto_destroy(mosq_);
}

Result<void> Worker::prepare() {
  if (wake_->get() < 0) return fail(Errc::resource_exhausted, "no file descriptor is left for a MQTT connection");
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

void Worker::publish(std::vector<Outgoing> messages, std::function<void(Published)> done) {
  auto delivery = std::make_shared<Delivery>();
  delivery->messages = std::move(messages);
  delivery->done = std::move(done);
  {
    std::lock_guard lock(fresh_mutex_);
    fresh_.push_back(std::move(delivery));
  }
  wake();
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
  silent_ = true;
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
    if (stopping()) break;
    lose(reason);
    report_loss(reason);
    if (!wait_before_retry(reason)) break;
  }
  dropped_.fetch_add(queue_.size() + in_flight_.size(), std::memory_order_relaxed);
  set_status(false, "stopped");
  std::lock_guard lock(end_mutex_);
  ended_ = true;
  end_.notify_all();
}

// What was under way when the connection went. The library would send it again by itself, but whoever published it
// decides that, or the queue does: it begins anew.
void Worker::lose(const std::string& reason) {
  const bool renew = !in_flight_.empty();
  {
    std::lock_guard lock(handlers_mutex_);
    if (handlers_.lost) handlers_.lost();
  }
  fail_deliveries(reason);
  for (auto one = in_flight_.rbegin(); one != in_flight_.rend(); ++one) {
    if (one->second.delivery) continue;
    const bool kept = one->second.message.qos > 0 && queue_.put_back(std::move(one->second.message));
    if (!kept) dropped_.fetch_add(1, std::memory_order_relaxed);
  }
  in_flight_.clear();
  if (!renew) return;
  mosquitto_destroy(mosq_);
  mosq_ = nullptr;
}

void Worker::take_deliveries() {
  std::lock_guard lock(fresh_mutex_);
  std::move(fresh_.begin(), fresh_.end(), std::back_inserter(waiting_));
  fresh_.clear();
}

void Worker::fail_deliveries(const std::string& reason) {
  take_deliveries();
  const std::string why = fmt::format("{}: {}", options_.address(), reason);
  std::vector<std::shared_ptr<Delivery>> lost;
  for (auto& [id, one] : in_flight_) {
    if (one.delivery && (lost.empty() || lost.back() != one.delivery)) lost.push_back(one.delivery);
  }
  lost.insert(lost.end(), waiting_.begin(), waiting_.end());
  waiting_.clear();
  std::lock_guard lock(handlers_mutex_);
  if (silent_) return;
  for (const auto& delivery : lost) delivery->fail(why);
}

// The log hears of every change, not of every attempt.
void Worker::report_loss(const std::string& reason) {
  set_status(false, fmt::format("{}: {}", options_.address(), reason));
  if (reason == last_loss_) return;
  last_loss_ = reason;
  obs::log(obs::Level::warn, "mqtt: not connected", {{"broker", options_.address()}, {"why", reason}});
}

// True when a stopping worker has nothing more to send or no more time for it.
bool Worker::flush_done() const { return said_all() || now() >= flush_until_ || ever_failed_; }

bool Worker::said_all() const { return queue_.size() == 0 && in_flight_.empty() && waiting_.empty(); }

// False when asked to stop meanwhile.
bool Worker::wait_before_retry(const std::string& reason) {
  const base::SteadyTime until = now() + backoff_.next();
  while (!stopping() && now() < until) {
    wait_until(until, [] { return true; });
    fail_deliveries(reason);
  }
  return !stopping();
}

// Until `done`, which is looked at with every wake-up, or a time; whether it is done.
bool Worker::wait_until(base::SteadyTime until, const std::function<bool()>& done) {
  while (true) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - now()).count();
    if (left <= 0) return done();
    pollfd waiting{wake_->get(), POLLIN, 0};
    poll(&waiting, 1, static_cast<int>(left));
    wake_->drain();
    if (done()) return true;
  }
}

std::string Worker::session() {
  const base::SteadyTime greeting_until = now() + kGreetingWithin;
  end_reason_.clear();
  unsafe_ = false;
  int code = MOSQ_ERR_SUCCESS;
  int error_number = 0;
  while (code == MOSQ_ERR_SUCCESS) {
    if (stopping() && flush_done()) {
      say_goodbye();
      return "stopped";
    }
    if (!greeted_ && now() >= greeting_until) {
      say_goodbye();
      return "no answer to the MQTT greeting within 10 s: is it a broker's port?";
    }
    errno = 0;
    code = serve_once();
    error_number = errno;
  }
  return end_reason_.empty() ? disconnect_reason(code, error_number, library_log_) : end_reason_;
}

// Acknowledgements that may not go out keep the goodbye from going out too. Where something was left unsaid a handler's
// will speaks: a goodbye would take it back.
void Worker::say_goodbye() {
  if (unsafe_ || (stopping() && will_speaks_ && !said_all())) return;
  mosquitto_disconnect(mosq_);
  write_out();
}

// Waits for something to do and does it. A code of libmosquitto.
int Worker::serve_once() {
  send_waiting();
  if (const int code = write_out(); code != MOSQ_ERR_SUCCESS) return code;
  const int socket = mosquitto_socket(mosq_);
  if (socket < 0) return MOSQ_ERR_CONN_LOST;
  const bool writing = mosquitto_want_write(mosq_);
  std::array<pollfd, 2> waiting{
      {{socket, static_cast<short>(writing ? POLLIN | POLLOUT : POLLIN), 0}, {wake_->get(), POLLIN, 0}}};
  const int timeout = stopping() ? 20 : !writing && sendable() && queue_.size() > 0 ? 0 : kMiscMillis;
  if (poll(waiting.data(), waiting.size(), timeout) < 0 && errno != EINTR) return MOSQ_ERR_ERRNO;
  if (waiting[1].revents != 0) wake_->drain();
  if ((waiting[0].revents & (POLLIN | POLLERR | POLLHUP)) != 0) {
    if (const int code = read_burst(); code != MOSQ_ERR_SUCCESS) return code;
  }
  return mosquitto_loop_misc(mosq_);
}

// The library is told that others run its thread (Worker::configure), and so only puts what it has to say, its
// acknowledgements too, into a list. This is the one place that writes it.
int Worker::write_out() {
  if (unsafe_ || !mosquitto_want_write(mosq_)) return MOSQ_ERR_SUCCESS;
  std::lock_guard lock(handlers_mutex_);
  return mosquitto_loop_write(mosq_, 1);
}

// The library reads one packet per call; reading on until the socket is empty saves a poll for each. It leaves EAGAIN
// in errno when it found nothing more.
int Worker::read_burst() {
  int code = MOSQ_ERR_SUCCESS;
  {
    std::lock_guard lock(handlers_mutex_);
    for (int packets = 0; packets < kBurstMax; ++packets) {
      errno = 0;
      code = mosquitto_loop_read(mosq_, 1);
      if (code != MOSQ_ERR_SUCCESS || errno == EAGAIN || mosquitto_socket(mosq_) < 0) break;
    }
  }
  if (!std::exchange(burst_open_, false)) return code;
  const int kept = errno;
  if (settle_burst()) {
    std::lock_guard lock(handlers_mutex_);
    if (handlers_.burst_end) handlers_.burst_end();
  } else {
    unsafe_ = true;
  }
  errno = kept;
  return code;
}

// False when asked to stop before what was read is safe.
bool Worker::settle_burst() {
  base::Backoff pause(kStoreLeast, kStoreMost);
  bool told = false;
  while (!store_burst()) {
    if (stopping()) return false;
    if (!std::exchange(told, true)) {
      set_status(true,
                 fmt::format("{}: what was read could not be stored yet; nothing more is read", options_.address()));
      obs::log(obs::Level::warn, "mqtt: holding back, samples cannot be stored", {{"broker", options_.address()}});
    }
    wait_until(now() + pause.next(), [this] { return stopping(); });
  }
  if (told) set_status(greeted_, "connected to " + options_.address());
  return true;
}

bool Worker::store_burst() {
  enum : int { kOpen, kTaken, kRefused };
  auto answer = std::make_shared<std::atomic<int>>(kOpen);
  {
    std::lock_guard lock(handlers_mutex_);
    if (!handlers_.store) return true;
    handlers_.store([answer, wake = wake_](bool taken) {
      answer->store(taken ? kTaken : kRefused, std::memory_order_release);
      wake->signal();
    });
  }
  const auto answered = [&] { return answer->load(std::memory_order_acquire) != kOpen; };
  while (!answered() && !stopping()) wait_until(now() + 1s, [&] { return answered() || stopping(); });
  if (!answered()) wait_until(now() + kStoreAtStop, answered);
  return answer->load(std::memory_order_acquire) == kTaken;
}

bool Worker::sendable() const { return greeted_ && in_flight_.size() < kInFlightMax; }

void Worker::send_waiting() {
  take_deliveries();
  std::lock_guard lock(handlers_mutex_);
  while (sendable() && send_next()) {
  }
}

// Deliveries first, then what is queued; false when nothing is left or nothing goes.
bool Worker::send_next() {
  if (!waiting_.empty()) {
    const std::shared_ptr<Delivery> delivery = waiting_.front();
    if (delivery->sent < delivery->messages.size()) {
      const std::size_t position = delivery->sent++;
      ++delivery->open;
      const int code = send(delivery->messages[position], delivery, position);
      if (code != MOSQ_ERR_SUCCESS) {
        --delivery->open;
        if (code == MOSQ_ERR_NO_CONN) return --delivery->sent, false;
        delivery->reject(position, mosquitto_strerror(code));
      }
    }
    if (delivery->sent == delivery->messages.size()) waiting_.pop_front();
    if (delivery->finished()) answer(*delivery);
    return true;
  }
  std::optional<Outgoing> next = queue_.pop();
  if (!next) return false;
  const int code = send(*next, nullptr, 0);
  if (code == MOSQ_ERR_SUCCESS) return true;
  if (code == MOSQ_ERR_NO_CONN) {
    if (!queue_.put_back(std::move(*next))) dropped_.fetch_add(1, std::memory_order_relaxed);
    return false;
  }
  dropped_.fetch_add(1, std::memory_order_relaxed);
  set_status(true, fmt::format("{}: a message was not sent: {}", options_.address(), mosquitto_strerror(code)));
  return true;
}

// With handlers_mutex_ held.
void Worker::answer(Delivery& delivery) {
  delivery.result.confirmed = true;
  if (!silent_) delivery.answer();
}

int Worker::send(const Outgoing& message, std::shared_ptr<Delivery> delivery, std::size_t position) {
  mosquitto_property* properties = nullptr;
  if (options_.version == Version::v5) {
    if (!message.content_type.empty())
      mosquitto_property_add_string(&properties, MQTT_PROP_CONTENT_TYPE, message.content_type.c_str());
    if (message.good_for.count() > 0)
      mosquitto_property_add_int32(
          &properties, MQTT_PROP_MESSAGE_EXPIRY_INTERVAL,
          static_cast<std::uint32_t>(std::min<std::int64_t>(message.good_for.count(), UINT32_MAX)));
    for (const auto& [name, value] : message.properties)
      mosquitto_property_add_string_pair(&properties, MQTT_PROP_USER_PROPERTY, name.c_str(), value.c_str());
  }
  int id = 0;
  const int code = mosquitto_publish_v5(mosq_, &id, message.topic.c_str(), static_cast<int>(message.payload.size()),
                                        message.payload.data(), message.qos, message.retain, properties);
  mosquitto_property_free_all(&properties);
  if (code != MOSQ_ERR_SUCCESS) return code;
  InFlight& entry = in_flight_[id];
  entry.position = position;
  if (!delivery) entry.message = message;
  entry.delivery = std::move(delivery);
  return code;
}

}  // namespace penstock::mqtt
