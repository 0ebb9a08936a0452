// Works with the store for the running gateway: takes over what the command line and the admin API changed, writes what
// devices did, and wakes whoever waits for a device's twin or commands.
#pragma once

#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

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

// Publishes to devices at a broker. Any thread; returns at once.
using Publish = std::function<void(std::string topic, std::string payload, bool retained)>;

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

  // Takes over what changed in the store, when anything did. Any thread.
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
  // From now on desired twins (retained, devices/D/twin/desired) and commands (devices/D/commands) are published.
  // Empty: no more.
  void publish_with(Publish publish);
  // Called with the identities of the broker now, and whenever they change; on the thread that calls refresh().
  void on_identities(std::function<void(std::vector<BrokerIdentity>)> told);
  // A message that came to devices/D/twin/reported or devices/D/commands/ack; others are ignored. `device` is whom the
  // broker knows as its sender; empty: the one of the topic. Any thread.
  void take_message(std::string_view device, std::string_view topic, std::string payload);

 private:
  Clerk(Options options, store::State reading, store::State working);
  void run();
  void tick_when_needed();
  void tick(bool write_seen);
  void tell_identities();
  void tell_watchers(const std::vector<std::string>& names);
  void tell_broker(const std::vector<std::string>& names);
  void publish_state(const std::string& device);
  void publish_again();
  void quarantine(const std::string& device, const std::string& why, bool fresh);

  const Options options_;
  Registry registry_;

  std::mutex refresh_mutex_;  // of these four
  store::State reading_state_;
  store::DeviceStore reading_{reading_state_};
  std::int64_t revision_ = 0;
  std::function<void(std::vector<BrokerIdentity>)> identities_told_;

  store::State working_state_;  // the pool's thread's, as those below
  std::unique_ptr<store::DeviceStore> store_;
  std::map<std::string, std::int64_t> published_;    // versions of desired twins
  std::map<std::string, base::WallMicros> told_at_;  // commands that were published, by id

  std::mutex watch_mutex_;
  std::multimap<std::string, std::weak_ptr<Watch::State>> watches_;
  std::mutex publish_mutex_;
  Publish publish_;

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
