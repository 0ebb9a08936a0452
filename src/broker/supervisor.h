// The embedded broker as the gateway has it: its files, its keeper, its users, and how it does.
#pragma once

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/backoff.h"
#include "broker/broker_config.h"
#include "broker/broker_files.h"
#include "broker/keeper.h"
#include "mqtt/connection.h"

namespace penstock::broker {

struct BrokerStatus {
  bool running = false;        // it is there and answers
  std::string detail;          // its address, or why it does not run; never a secret
  pid_t pid = -1;              // -1: none
  std::uint64_t starts = 0;    // of its process, since the gateway's start
  std::uint64_t clients = 0;   // connected, the gateway's own among them
  std::uint64_t received = 0;  // messages, since its start
  std::uint64_t sent = 0;      // messages, since its start
  std::uint64_t dropped = 0;   // messages that a full queue of a client lost, since its start
  std::string left_out;        // which devices cannot connect for their names, and why; empty: none
  std::string unwritten;       // why it does not know its newest users and settings yet; empty: it does
};

// prepare(), run(), apply() and stop() by one thread; set_devices() and status() by any.
class Supervisor {
 public:
  explicit Supervisor(std::string data_dir, LaunchKeeper launch = launch_keeper, OwnAuthority own = {});
  // Stops.
  ~Supervisor();
  Supervisor(const Supervisor&) = delete;
  Supervisor& operator=(const Supervisor&) = delete;

  // Writes the files and starts the keeper, which waits: before the process gives up the right to start programs.
  // Errors: no such program, the disk, no process. They are in the status too, and nothing else is lost with them.
  // Files that cannot be written, now or later, are tried again from run() on, after 0.5 s to 1 min, until they are;
  // until then what the broker has is narrowed to what the newest rules give too, as far as the disk can.
  Result<void> prepare(const BrokerConfig& config);
  // Starts the broker, and answers for `mqtt: embedded` from here on.
  void run();
  // A changed configuration: users and access at once, all else by starting the broker again.
  Result<void> apply(const BrokerConfig& config);
  // Whoever keeps the devices says which may connect, and says it again when their authority changed. Replaces what it
  // said before. Those with a name that is taken, or that the broker's files cannot carry, are left out, and said.
  // Blocks for the disk; what that does not take is tried again, as above.
  void set_devices(std::vector<BrokerUser> devices);
  // The broker saves its messages and ends; at most six seconds.
  void stop();

  BrokerStatus status() const;

 private:
  Result<void> update();
  Result<void> write_files();
  Result<void> write_users();
  std::vector<BrokerUser> all_users();
  Result<void> launch();
  void order(Order order);
  void announce();
  void listen();
  std::optional<std::string> wait_for_news(int socket, std::optional<base::SteadyTime> until);
  void hear(std::string_view packet);
  void watch();
  void note(const mqtt::Incoming& message);
  void set_trouble(std::string why);
  void show();

  const BrokerFiles files_;
  const LaunchKeeper launch_;
  const OwnAuthority own_;
  const base::Secret password_;  // of the gateway's own user
  const std::string password_hash_;
  mutable std::mutex mutex_;  // guards what follows
  BrokerConfig config_;
  std::string own_name_;  // of its user; load_own_name()
  std::vector<BrokerUser> devices_;
  std::vector<BrokerUser> declared_;  // of config_, with hashes
  std::string program_;
  int socket_ = -1;
  pid_t keeper_ = -1;
  bool started_ = false;   // run() was called
  bool complete_ = false;  // its files once held all of this configuration: it can have them, narrowed as they are
  bool stopping_ = false;
  bool finished_ = false;
  pid_t pid_ = -1;
  std::uint64_t starts_ = 0;
  std::string trouble_, left_out_, unwritten_;
  std::string listens_;  // with the settings that were written last
  std::string revoked_;  // a digest of the list that the broker read last
  base::Backoff retries_;
  std::optional<base::SteadyTime> retry_at_;  // while something is unwritten
  const int wake_;                            // the listener looks at retry_at_ again
  std::condition_variable changed_;
  std::thread listener_;
  mutable std::mutex shown_mutex_;  // guards what follows; taken last
  BrokerStatus shown_;
  std::string shown_listens_;
  std::shared_ptr<mqtt::Connection> watch_;
  std::atomic<std::uint64_t> clients_{0}, received_{0}, sent_{0}, dropped_{0};
};

}  // namespace penstock::broker
