// A lasting connection to one broker, for a source or a sink: connects, greets, subscribes, and does it all again after
// every loss, waiting 500 ms to 30 s between attempts (doubling, with jitter).
//
// Each connection has a thread of its own, so that name lookups and TLS never hold up an event loop; libmosquitto is
// used on that thread only. Messages are handed over on it too, in bursts, without a copy.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "mqtt/options.h"
#include "mqtt/outbound_queue.h"

namespace penstock::mqtt {

// Valid during the call only.
struct Incoming {
  std::string_view topic;
  std::string_view payload;
  bool retained = false;
};

struct Subscription {
  std::string filter;
  int qos = 0;  // 0, 1 or 2
};

// All called on the connection's thread, never after stop(). They must not block.
struct Handlers {
  std::function<void(const Incoming&)> message;
  std::function<void()> burst_end;  // after one or more messages that arrived together
};

struct ConnectionStatus {
  bool connected = false;       // greeted, and not every subscription refused
  std::string detail;           // what it is connected to, or why not; never a secret
  std::uint64_t received = 0;   // messages
  std::uint64_t delivered = 0;  // messages the broker took: written at QoS 0, acknowledged above
  std::uint64_t dropped = 0;    // messages refused, too old for the queue, or left over at stop()
};

class Worker;

class Connection {
 public:
  // The outbound queue holds `queue_max` messages; beyond that the oldest are dropped and counted.
  Connection(Options options, std::vector<Subscription> subscriptions, Handlers handlers,
             std::size_t queue_max = 10'000);
  // Stops without waiting for unsent messages.
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // Starts the thread. Fails only when the machine has none left.
  Result<void> start();
  // Sends what is queued if the broker takes it within `flush`, then says goodbye. Blocks for at most `flush` and half
  // a second. While the broker is unreachable nothing is waited for.
  void stop(base::Duration flush);

  // Any thread, never blocks. False when an older message was dropped to make room.
  bool publish(Outgoing message);
  // Any thread.
  ConnectionStatus status() const;

 private:
  std::shared_ptr<Worker> worker_;  // shared with the thread, which may outlive us in a name lookup that hangs
  bool started_ = false;
};

}  // namespace penstock::mqtt
