// The thread that reads the devices of one bus in time, and writes to them in between.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <list>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/backoff.h"
#include "ext/sources/modbus/bus.h"

namespace penstock::ext::modbus {

struct Device {
  std::string name;
  int unit = 1;
  std::vector<Point> points = {};
  std::vector<base::Duration> every = {};  // one per point
  base::Duration pause{};                  // between an answer and the next request to it
  RequestLimits limits;
};

struct PollerOptions {
  Address address;
  std::vector<Device> devices;
  base::Duration timeout{};
  int retries = 1;  // further attempts for a request without an answer
};

struct PollerStatus {
  bool connected = false;
  std::string detail;
  std::uint64_t samples = 0;
  std::uint64_t refused = 0;   // by a full queue
  std::uint64_t failures = 0;  // requests that brought no answer, or an exception
  std::uint64_t missed = 0;    // readings left out because the ones before took too long
};

// One sample per device and period, with all that is read in it. A block that fails leaves its fields out and makes the
// sample uncertain; when nothing could be read the sample has no fields and is bad.
//
// Shared with its thread, which may outlive stop() in a name look-up that hangs.
class Poller : public std::enable_shared_from_this<Poller> {
 public:
  using Emit = std::function<bool(std::vector<ingest::Sample>)>;
  using Answered = std::function<void(Result<ingest::Value>)>;

  Poller(PollerOptions options, const base::Clock& clock);

  Result<void> start(Emit emit);
  // After it nothing is emitted and nobody is told anything. Ends the thread, waiting for it for at most 200 ms. Writes
  // that are not answered yet are, as cancelled.
  void stop();
  // Any thread: sets a point and reads it back, between two requests of a reading. A device that is busy is asked
  // again, and one that does not read as written is looked at again, until the time is over; what was sent and not
  // answered is not sent again: the device may have done it. `answered` is called once, on the poller's thread or on
  // that of write() or stop(), and must not call back.
  void write(std::size_t device, std::size_t point, ingest::Value value, base::Duration timeout, Answered answered);
  // Likewise: what a point holds now. A device or connection that is left alone for a while because it did not answer
  // is not asked for it: unavailable. Writes go first, and there is one request for it.
  void read(std::size_t device, std::size_t point, base::Duration timeout, Answered answered);
  PollerStatus status() const;

 private:
  // What is read of one device at one pace.
  struct Group {
    std::size_t device = 0;
    base::Duration every{};
    base::SteadyTime due{};
    std::vector<Block> blocks;
  };
  struct Line {                   // what is known of one device
    base::SteadyTime free_at{};   // after its pause
    base::SteadyTime again_at{};  // while it does not answer
    base::Backoff backoff{std::chrono::seconds(1), std::chrono::seconds(30)};
    bool silent = false;
  };
  struct Link {                   // and of the connection, or the serial line, to all of them
    base::SteadyTime free_at{};   // of a serial line
    base::SteadyTime again_at{};  // while it breaks before anybody has answered
    base::Backoff backoff{std::chrono::milliseconds(500), std::chrono::seconds(30)};
    Error broken = {};
    bool answered = false;  // since it was opened
  };
  struct Order {
    std::size_t device = 0;
    std::size_t point = 0;
    std::optional<ingest::Value> value;  // none: it is read only
    base::SteadyTime until{};
    base::SteadyTime due{};                 // the next request for it
    Answered answered;                      // guarded by mutex_; empty once stop() has answered
    std::vector<std::uint16_t> words = {};  // as sent; empty before
    bool begun = false;                     // guarded by mutex_
  };
  enum class Purpose : std::uint8_t {
    reading,  // lets orders go first, and leaves a broken connection alone for a while
    order,
    once,  // of an order: what may have been done, or is only looked at
  };

  void run();
  Group* next_group();
  void schedule(Group& group);
  void read_group(Group& group);
  bool cut(Group& group, std::size_t at);
  Result<void> read_block(const Group& group, const Block& block, ingest::Sample& sample);
  // Not sent any more when its turn comes after `until`.
  Result<void> ask(std::size_t device, Purpose purpose, const std::function<Result<void>()>& request,
                   base::SteadyTime until = base::SteadyTime::max());
  bool await_turn(std::size_t device, bool reading);
  bool rest(base::SteadyTime until, bool orders);
  void settle(std::size_t device, const Result<void>& result);
  void note(std::size_t device, const Result<void>& result);
  void emit(ingest::Sample sample);
  void take(Order order);
  void carry_out_orders();
  std::optional<Result<ingest::Value>> carry_out(Order& order);
  Result<void> set(Order& order);
  Result<void> read_point(const Order& order, Purpose purpose = Purpose::order);
  Result<ingest::Value> look(const Order& order);
  bool stopping();

  const PollerOptions options_;
  const base::Clock& clock_;
  Bus bus_;
  std::vector<Group> groups_;
  std::vector<Line> lines_;
  std::vector<std::uint16_t> words_;
  Link link_;

  // Guards the four below. Held while an order is answered, so that nobody is told after stop().
  std::mutex mutex_;
  std::condition_variable changed_;
  std::list<Order> orders_;  // by age; the thread alone takes any out
  bool stopping_ = false;
  bool ended_ = true;
  std::mutex emit_mutex_;  // held while emitting; stop() empties it
  Emit emit_;

  mutable std::mutex status_mutex_;  // guards the two below
  bool connected_ = false;
  std::string detail_;
  std::atomic<std::uint64_t> samples_{0}, refused_{0}, failures_{0}, missed_{0};
};

}  // namespace penstock::ext::modbus
