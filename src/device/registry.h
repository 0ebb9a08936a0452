// The devices there are, in memory: whether one may speak is one look into a table, without a lock.
#pragma once

#include <atomic>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "device/settings.h"
#include "obs/metrics.h"
#include "store/device_store.h"

namespace penstock::device {

enum class State : std::uint8_t { fresh, active, quarantined, retired };
constexpr std::array<std::string_view, 4> kStateNames{"new", "active", "quarantined", "retired"};
// Nothing for another word.
std::optional<State> parse_state(std::string_view text);

// How a broker knows a device, and what it may do there. Quarantined and retired devices have none.
struct BrokerIdentity {
  std::string name;                       // the user name
  std::vector<std::string> passwords;     // as Mosquitto's password file has them: "$7$..."; the newest first
  std::vector<std::string> certificates;  // the subjects of those of our authority that are good
  std::vector<std::string> publish;       // topics, with wildcards
  std::vector<std::string> subscribe;
  bool operator==(const BrokerIdentity&) const = default;
};

// What is known of a device since the start.
struct Standing {
  State state = State::fresh;
  std::string why;
  base::WallMicros last_seen = 0;  // to within a second; 0: never
  std::uint64_t samples = 0;       // taken
  std::uint64_t refused = 0;
  std::uint64_t malformed = 0;  // requests and messages that could not be understood
};

// A device that broke a rule.
struct Verdict {
  std::string device;
  std::string why;
};

class Registry {
 public:
  // Unknown devices that are kept as quarantined; beyond that they are refused and counted only.
  static constexpr std::size_t kStrangersMax = 10'000;

  Registry();
  ~Registry();
  Registry(const Registry&) = delete;
  Registry& operator=(const Registry&) = delete;

  // --- hot path: any thread, no lock for a device that is known ---
  // Whether samples of this device are taken; counted and noted either way. Anybody's while nothing is configured and
  // no device was ever made.
  bool admit(std::string_view device);
  void note_malformed(std::string_view device);
  // Whatever it does, other than sending samples.
  void note_seen(std::string_view device);

  // --- any thread ---
  // There is a device, or something configured.
  bool watching() const { return watching_.load(std::memory_order_relaxed); }
  std::optional<Standing> standing(std::string_view device) const;
  // permission_denied for a device in quarantine or retired, not_found for an unknown one.
  Result<void> check(std::string_view device) const;
  std::vector<BrokerIdentity> broker_identities() const;
  std::map<State, std::size_t> counts() const;
  void collect(obs::MetricWriter& writer) const;

  // --- any thread, one after the other ---
  void configure(Settings settings);
  Settings settings() const;
  // As the store has it now; older news of a device that broke a rule do not let it out, see settle(). Whether a broker
  // has to know it.
  bool put(const store::StoredDevice& device, const std::vector<store::StoredCredential>& credentials);
  // The time that devices are noted with.
  void set_time(base::WallMicros now) { now_.store(now, std::memory_order_relaxed); }
  // Those seen since they were last given, 5,000 at most; the others come first with the next call.
  std::vector<std::pair<std::string, base::WallMicros>> take_seen();
  // Those that spoke and are not known, since the last call; with `unknown: quarantine`.
  std::vector<std::string> take_strangers();
  // Those that broke a rule by now. About once a second. They are in quarantine at once, and until the store has it,
  // whatever put() says.
  std::vector<Verdict> judge(base::SteadyTime now);
  // The verdict about a device is in the store: from this revision on what put() says holds again.
  void settle(std::string_view device, std::int64_t revision);

 private:
  struct Entry;
  struct Index;
  Entry* find(std::string_view name) const;
  Entry& make(std::string_view name, State state);
  bool admit_stranger(std::string_view name);
  std::size_t place_of(std::string_view name) const;
  void grow(std::size_t entries);

  const std::uint64_t seed_;
  std::atomic<bool> watching_{false};
  std::atomic<Unknown> unknown_{Unknown::accept};
  std::atomic<base::WallMicros> now_{0};
  std::atomic<std::uint64_t> refused_strangers_{0};
  std::atomic<std::uint64_t> quarantined_by_rule_{0};
  std::atomic<Index*> index_{nullptr};

  mutable std::mutex mutex_;                     // of all that follows, and of what Entry says
  std::vector<std::unique_ptr<Index>> indexes_;  // the last one is in use; readers may still be in the others
  std::deque<Entry> entries_;
  std::size_t seen_from_ = 0;  // where take_seen() goes on, counted round
  Settings settings_;
  std::vector<std::string> strangers_;
  std::size_t strangers_kept_ = 0;
};

}  // namespace penstock::device
