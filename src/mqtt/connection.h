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
#include <utility>
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
  // MQTT 5 only, and only with Subscription::properties.
  std::string_view content_type = {};
  const std::vector<std::pair<std::string, std::string>>* properties = nullptr;  // the user's; null: none
};

// Which retained messages a subscription brings; only `none` is known below MQTT 5, and there the receiver sees to it.
enum class Retained : std::uint8_t { all, if_new, none };

struct Subscription {
  std::string filter;
  int qos = 0;  // 0, 1 or 2
  Retained retained = Retained::all;
  bool properties = false;
};

// All called on the connection's thread, never after stop(). They must not block.
struct Handlers {
  using Settled = std::function<void(bool)>;

  std::function<void(const Incoming&)> message = {};
  // Makes what was read in one go safe. It calls `settled` once, on any thread; after false it is called again a while
  // later, with the same messages. Until true nothing more is read and nothing acknowledged: what is lost before comes
  // again in the next connection, when the broker keeps the session.
  std::function<void(Settled settled)> store = {};
  std::function<void()> burst_end = {};  // after one or more messages that arrived together, and were stored
  std::function<void()> greeted = {};    // connected, or connected again
  std::function<void()> lost = {};       // the connection, or the attempt to make one
  // The will of the connection about to be made; over Options::will. It speaks too when stop() comes before all is
  // said.
  std::function<Will()> will = {};
};

// What became of messages that were published together.
struct Published {
  bool confirmed = false;                  // acknowledged (at QoS 0: written), but for those refused
  std::string why = {};                    // when not confirmed, or some were refused
  std::vector<std::size_t> rejected = {};  // positions the broker will not take
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
  // Sends what is queued if the broker takes it within `flush`, then says goodbye; with a Handlers::will it goes
  // without one when not all could be said. Blocks for at most `flush` and half a second. While the broker is
  // unreachable nothing is waited for.
  void stop(base::Duration flush);

  // Any thread, never blocks. Waits for the broker in the queue. False when an older message was dropped to make room.
  bool publish(Outgoing message);
  // All of them, in order, or why not: while there is no connection, and when it is lost before all are acknowledged,
  // the answer comes at once and nothing is kept. `done` is called once on the connection's thread, not after stop().
  // Any thread.
  void publish(std::vector<Outgoing> messages, std::function<void(Published)> done);
  // Any thread.
  ConnectionStatus status() const;

 private:
  std::shared_ptr<Worker> worker_;  // shared with the thread, which may outlive us in a name lookup that hangs
  bool started_ = false;
};

}  // namespace penstock::mqtt
