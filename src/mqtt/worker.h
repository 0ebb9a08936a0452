// The inside of a Connection: what its thread does. Not for use elsewhere.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/backoff.h"
#include "mqtt/connection.h"
#include "mqtt/delivery.h"

struct mosquitto;
struct mosquitto_message;
struct mqtt5__property;

namespace penstock::mqtt {

// Closes on destruction; -1 when none.
class WakeDescriptor {
 public:
  WakeDescriptor();
  ~WakeDescriptor();
  WakeDescriptor(const WakeDescriptor&) = delete;
  WakeDescriptor& operator=(const WakeDescriptor&) = delete;
  int get() const { return fd_; }
  void signal() const;
  void drain() const;

 private:
  int fd_;
};

class Worker {
 public:
  Worker(Options options, std::vector<Subscription> subscriptions, Handlers handlers, std::size_t queue_max);
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  // --- any thread ---
  Result<void> prepare();  // once, before run()
  bool publish(Outgoing message);
  void publish(std::vector<Outgoing> messages, std::function<void(Published)> done);
  ConnectionStatus status() const;
  // Asks the thread to end and waits for it, with a deadline. After it no handler is called.
  void stop(base::Duration flush);

  // --- the thread ---
  void run();

 private:
  // Attempts: each returns why it did not come to a connection.
  Result<void> configure();
  Result<void> configure_tls();
  Result<void> take_embedded();
  void set_credentials(const std::string& username, const base::Secret& password);
  void set_will();
  Result<std::vector<std::string>> lookup() const;
  Result<void> connect();
  Result<void> connect_any(const std::vector<std::string>& hosts);
  Result<void> connect_one(const std::string& host, const std::string& numeric);
  Result<void> connect_blocking(const std::string& host, int port);
  Result<void> probe(const std::string& numeric) const;
  Result<void> await_socket(int socket) const;

  // One connection's life, from the TCP connection on. Returns why it ended.
  std::string session();
  void say_goodbye();
  int serve_once();
  int read_burst();
  bool settle_burst();
  bool store_burst();
  int write_out();
  void send_waiting();
  bool send_next();
  int send(const Outgoing& message, std::shared_ptr<Delivery> delivery, std::size_t position);
  void answer(Delivery& delivery);
  bool sendable() const;
  void subscribe_all();
  void lose(const std::string& reason);
  void take_deliveries();
  void fail_deliveries(const std::string& reason);
  bool wait_before_retry(const std::string& reason);
  bool wait_until(base::SteadyTime until, const std::function<bool()>& done);

  // libmosquitto's callbacks, on this thread.
  void on_connect(int code);
  void on_subscribe(int message_id, int granted);
  void on_publish(int message_id, int code);
  void on_message(const mosquitto_message& message, const mqtt5__property* properties);
  void on_disconnect(int code);
  void on_log(int log_level, const char* text);
  void install_callbacks();

  void report_loss(const std::string& reason);
  void set_status(bool connected, std::string detail);
  bool stopping() const { return stop_asked_.load(std::memory_order_acquire); }
  bool flush_done() const;
  bool said_all() const;
  void wake() const { wake_->signal(); }

  const Options options_;
  const std::vector<Subscription> subscriptions_;
  OutboundQueue queue_;
  const bool wants_properties_;
  std::shared_ptr<WakeDescriptor> wake_;  // shared with what is being stored
  base::Backoff backoff_;

  mutable std::mutex status_mutex_;  // guards connected_ and detail_
  bool connected_ = false;
  std::string detail_;
  std::atomic<std::uint64_t> received_{0};
  std::atomic<std::uint64_t> delivered_{0};
  std::atomic<std::uint64_t> dropped_{0};

  std::mutex fresh_mutex_;                        // guards the one below
  std::vector<std::shared_ptr<Delivery>> fresh_;  // not yet taken by the thread

  std::atomic<bool> stop_asked_{false};
  base::SteadyTime flush_until_;  // written before stop_asked_
  std::mutex end_mutex_;          // guards ended_
  std::condition_variable end_;
  bool ended_ = false;
  std::mutex handlers_mutex_;  // held while handlers run; stop() empties them
  Handlers handlers_;
  bool silent_ = false;  // stopped: nobody is told anything any more; guarded as they are

  // The thread's own.
  struct InFlight {
    std::shared_ptr<Delivery> delivery;  // null: `message` is of the queue
    std::size_t position = 0;
    Outgoing message;
  };
  mosquitto* mosq_ = nullptr;
  std::string client_id_;
  bool greeted_ = false;      // CONNACK said yes
  bool ever_failed_ = false;  // since the last greeting
  bool will_speaks_ = false;  // when stop() comes before all is said
  bool unsafe_ = false;       // acknowledgements wait for a store that never came
  std::string end_reason_;    // set by callbacks when the broker said why
  std::string library_log_;
  std::string last_loss_;                          // as told to the log; empty while connected
  std::map<int, InFlight> in_flight_;              // by message id: not written, or not acknowledged
  std::deque<std::shared_ptr<Delivery>> waiting_;  // not all handed to the library, oldest first
  bool burst_open_ = false;
  std::map<int, std::string> pending_filters_;  // by message id
  std::size_t refused_filters_ = 0;
};

}  // namespace penstock::mqtt
