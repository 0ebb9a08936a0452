// Works with the store for the running gateway: takes over what the command line and the admin API changed, writes what
// devices did, and wakes whoever waits for a device's twin or commands.
#pragma once

#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "base/backoff.h"
#include "base/secret.h"
#include "device/registry.h"
#include "obs/metrics.h"
#include "rt/pool.h"
#include "store/device_store.h"

namespace penstock::device {

// Destroy it on the loop it was made for; after that the callback is not called again.
class Watch {
 public:
  struct State;
  explicit Watch(std::shared_ptr<State> state) : state_(std::move(state)) {}
  ~Watch();
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;

 private:
  std::shared_ptr<State> state_;
};

// For a device at a broker.
struct Publication {
  std::string topic;
  std::string payload;
  bool retained = false;
  std::chrono::seconds good_for{0};  // 0: for ever
  // Where there is one it is called once, on any thread, with whether the broker has it; not after publish_with({}).
  std::function<void(bool taken)> told = {};
};
// Any thread; returns at once.
using Publish = std::function<void(Publication)>;

// What a device said at a broker.
struct DeviceMessage {
  std::string topic;
  std::string payload;
};

class Clerk {
 public:
  struct Options {
    std::string data_dir;
    base::Secret installation;
    const base::Clock* clock = &base::system_clock();
    // A device changed: on the thread that calls refresh(), one at a time.
    store::DeviceStore::Visitor changed = {};
    // Devices changed by the clerk itself: somebody calls refresh() soon. Any thread.
    std::function<void()> wake = {};
  };

  // Reads all devices. Errors: as store::State::open().
  static Result<std::unique_ptr<Clerk>> open(Options options);
  ~Clerk();
  // From now on time passes, as soon as there is a device or something configured: rules are judged, what was seen is
  // written every 10 s.
  void start();
  // Any thread, one after the other.
  void configure(Settings settings);
  // Writes what is left. Nothing is answered after it.
  void stop();

  Registry& registry() { return registry_; }
  const std::string& data_dir() const { return options_.data_dir; }
  const base::Secret& installation() const { return options_.installation; }

  // Takes over what changed in the store, when anything did, and tries again what could not be written of it. Any
  // thread.
  void refresh();

  // --- any thread ---
  // Runs `work` on the store's thread and hands what it returns to `done` on `loop`. Errors: backpressure.
  template <class Work, class Done>
  Result<void> ask(rt::Loop& loop, Work work, Done done) {
    return pool_.run(loop, [this, work = std::move(work)]() mutable { return work(*store_); }, std::move(done));
  }
  // The callback is called on `loop` after every change of the device, its twin or its commands.
  std::unique_ptr<Watch> watch(const std::string& device, rt::Loop& loop, std::function<void()> changed);
  void collect(obs::MetricWriter& writer) const;
  // Counted for the metrics.
  void count_onboarding(bool accepted) { (accepted ? onboarded_ : refused_codes_).fetch_add(1); }

  // --- devices at a broker; mqtt_face.cc ---
  // From now on desired twins (retained, devices/D/twin/desired) and commands (devices/D/commands) are published. A
  // command is published once, and again only to a device that was heard of since and did not answer: what sleeps is
  // woken up by one. Empty: no more.
  void publish_with(Publish publish);
  // Called with the identities of the broker now, and whenever they change; on the thread that calls refresh().
  void on_identities(std::function<void(std::vector<BrokerIdentity>)> told);
  // What came to devices/D/twin/reported and devices/D/commands/ack; others are ignored. Whose it is the topic says.
  // `settled` is called once, here or on the store's thread: false when the store did not take it for now, and it has
  // to be given again. Any thread.
  void take_messages(std::vector<DeviceMessage> messages, std::function<void(bool)> settled);

 private:
  Clerk(Options options, store::State reading, store::State working);
  void run();
  void tick_when_needed();
  void tick(bool write_seen);
  void tell_identities();
  void tell_list_again();
  void tell_watchers(const std::vector<std::string>& names);
  void tell_broker(const std::vector<std::string>& names);
  bool publishing();
  void tell_waiting();
  void publish_state(const std::string& device);
  void publish_command(const Publish& publish, const store::StoredCommand& command, base::WallMicros now);
  void arrived(const std::string& command);
  bool is_due(const store::StoredCommand& command, base::WallMicros now);
  void find_unanswered();
  using Refused = std::vector<std::pair<std::string, std::string>>;  // devices, and why
  bool store_message(const DeviceMessage& message, std::map<std::string, std::string>& reported, Refused& refused);
  bool store_answer(const std::string& device, std::string_view payload, Refused& refused);
  bool store_twin(const std::string& device, const std::string& twin);
  void reject(const std::string& device, const std::string& why);
  bool quarantine(const Verdict& verdict, bool stranger);

  const Options options_;
  Registry registry_;

  std::mutex refresh_mutex_;  // of these six
  store::State reading_state_;
  store::DeviceStore reading_{reading_state_};
  std::int64_t revision_ = 0;
  std::function<void(std::vector<BrokerIdentity>)> identities_told_;
  base::Backoff list_retries_{std::chrono::seconds(1), std::chrono::minutes(1)};
  std::optional<base::SteadyTime> list_due_;  // the list of revoked certificates could not be written

  store::State working_state_;  // the pool's thread's, as those below
  std::unique_ptr<store::DeviceStore> store_;
  std::map<std::string, std::int64_t> published_;        // versions of desired twins
  std::map<std::string, base::WallMicros> heard_since_;  // by command that was published: when its device spoke first
  std::vector<Verdict> verdicts_;                        // that are not in the store yet
  std::vector<Verdict> strangers_;                       // as well
  base::SteadyTime quiet_until_{};                       // no word about what is not taken
  std::uint64_t unlogged_ = 0;

  std::mutex watch_mutex_;
  std::multimap<std::string, std::weak_ptr<Watch::State>> watches_;
  std::mutex publish_mutex_;  // of these four
  Publish publish_;
  std::set<std::string> on_the_way_;  // commands of which the broker has not said yet whether it has them
  std::set<std::string> to_tell_;     // devices
  bool tell_all_ = false;

  std::atomic<std::uint64_t> onboarded_{0};
  std::atomic<std::uint64_t> refused_codes_{0};
  std::atomic<std::uint64_t> expired_commands_{0};

  std::mutex stop_mutex_;
  std::condition_variable stop_changed_;
  bool started_ = false;
  bool stopping_ = false;
  std::atomic<bool> ticking_{false};
  std::thread ticker_;
  rt::Pool pool_{"devices", 1, 1024};  // ends first
};

}  // namespace penstock::device
