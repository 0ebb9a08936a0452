// The inside of a Connection: what its thread does. Not for use elsewhere.
#pragma once

#include <atomic>
#include <condition_variable>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/backoff.h"
#include "mqtt/connection.h"

struct mosquitto;
struct mosquitto_message;

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
  ConnectionStatus status() const;
  // Asks the thread to end and waits for it, with a deadline. After it no handler is called.
  void stop(base::Duration flush);

  // --- the thread ---
  void run();

 private:
  // Attempts: each returns why it did not come to a connection.
  Result<void> configure();
  Result<void> configure_tls();
  Result<std::vector<std::string>> lookup() const;
  Result<void> connect();
  Result<void> connect_one(const std::string& host);
  Result<void> await_socket();

  // One connection's life, from the TCP connection on. Returns why it ended.
  std::string session();
  int serve_once();
  int read_burst();
  void send_queued();
  bool sendable() const;
  void subscribe_all();
  bool wait_before_retry();

  // libmosquitto's callbacks, on this thread.
  void on_connect(int code);
  void on_subscribe(int message_id, int granted);
  std::size_t in_flight() const { return unwritten_ + unacknowledged_.size(); }
  void on_publish(int message_id, int code);
  void on_message(const mosquitto_message& message);
  void on_disconnect(int code);
  void on_log(int log_level, const char* text);
  void install_callbacks();

  void report_loss(const std::string& reason);
  void set_status(bool connected, std::string detail);
  bool stopping() const { return stop_asked_.load(std::memory_order_acquire); }
  bool flush_done() const;
  void wake() const { wake_.signal(); }

  const Options options_;
  const std::vector<Subscription> subscriptions_;
  OutboundQueue queue_;
  WakeDescriptor wake_;
  base::Backoff backoff_;

  mutable std::mutex status_mutex_;  // guards connected_ and detail_
  bool connected_ = false;
  std::string detail_;
  std::atomic<std::uint64_t> received_{0};
  std::atomic<std::uint64_t> delivered_{0};
  std::atomic<std::uint64_t> dropped_{0};

  std::atomic<bool> stop_asked_{false};
  base::SteadyTime flush_until_;  // written before stop_asked_
  std::mutex end_mutex_;          // guards ended_
  std::condition_variable end_;
  bool ended_ = false;
  std::mutex handlers_mutex_;  // held while handlers run; stop() empties them
  Handlers handlers_;

  // The thread's own.
  mosquitto* mosq_ = nullptr;
  bool greeted_ = false;      // CONNACK said yes
  bool ever_failed_ = false;  // since the last greeting
  std::string end_reason_;    // set by callbacks when the broker said why
  std::string library_log_;
  std::string last_loss_;         // as told to the log; empty while connected
  std::size_t unwritten_ = 0;     // QoS 0 messages the library holds; lost with the connection
  std::set<int> unacknowledged_;  // ids at QoS 1 and 2: the library sends them again after a loss
  bool burst_open_ = false;
  std::map<int, std::string> pending_filters_;  // by message id
  std::size_t refused_filters_ = 0;
};

}  // namespace penstock::mqtt
