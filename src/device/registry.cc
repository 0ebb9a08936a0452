#include "device/registry.h"

#include <openssl/rand.h>

#include <algorithm>

#include "device/credential.h"
#include "device/name.h"

namespace penstock::device {
namespace {

constexpr std::size_t kTakenAtOnce = 5000;

std::uint64_t random_seed() {
  std::uint64_t seed = 0;
  RAND_bytes(reinterpret_cast<unsigned char*>(&seed), sizeof seed);
  return seed;
}

}  // namespace

// Stays where it is as long as the registry.
struct Registry::Entry {
  Entry(std::string_view n, State s) : name(n), state(s) {}
  const std::string name;
  std::atomic<State> state;
  std::atomic<base::WallMicros> seen{0};
  std::atomic<std::uint64_t> samples{0};
  std::atomic<std::uint64_t> refused{0};
  std::atomic<std::uint64_t> malformed{0};

  // Under the registry's lock:
  struct Window {
    base::SteadyTime begun{};
    std::uint64_t from = 0;
  };
  std::string why;
  BrokerIdentity identity;
  bool stored = false;
  std::int64_t condemned = 0;  // put() lets it out from this revision of the store on only
  base::WallMicros seen_told = 0;
  std::vector<Window> windows;  // one for each rule

  std::uint64_t figure(QuarantineRule::Figure which) const {
    return (which == QuarantineRule::Figure::samples ? samples : malformed).load(std::memory_order_relaxed);
  }
};

// Open addressing, at most half full; a larger one takes its place while somebody may be reading this one.
struct Registry::Index {
  explicit Index(std::size_t size) : mask(size - 1), slots(size) {}
  std::atomic<Entry*>& slot_of(std::string_view name, std::size_t at) {
    while (true) {
      const Entry* entry = slots[at & mask].load(std::memory_order_acquire);
      if (entry == nullptr || entry->name == name) return slots[at & mask];
      ++at;
    }
  }
  const std::size_t mask;
  std::vector<std::atomic<Entry*>> slots;
};

std::optional<State> parse_state(std::string_view text) {
  const auto* found = std::find(kStateNames.begin(), kStateNames.end(), text);
  if (found == kStateNames.end()) return std::nullopt;
  return static_cast<State>(found - kStateNames.begin());
}

Registry::Registry() : seed_(random_seed()) { grow(0); }
Registry::~Registry() = default;

// Strangers choose names, but not the seed: they cannot aim at a place.
std::size_t Registry::place_of(std::string_view name) const {
  std::uint64_t hash = seed_;
  for (char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3ULL;
  return hash ^ (hash >> 29U);
}

void Registry::grow(std::size_t entries) {
  std::size_t size = 64;
  while (size < 4 * entries) size *= 2;
  auto fresh = std::make_unique<Index>(size);
  for (Entry& entry : entries_)
    fresh->slot_of(entry.name, place_of(entry.name)).store(&entry, std::memory_order_relaxed);
  index_.store(fresh.get(), std::memory_order_release);
  indexes_.push_back(std::move(fresh));
}

Registry::Entry* Registry::find(std::string_view name) const {
  return index_.load(std::memory_order_acquire)->slot_of(name, place_of(name)).load(std::memory_order_acquire);
}

// Under the lock.
Registry::Entry& Registry::make(std::string_view name, State state) {
  if (2 * (entries_.size() + 1) > indexes_.back()->slots.size()) grow(entries_.size() + 1);
  Entry& entry = entries_.emplace_back(name, state);
  indexes_.back()->slot_of(entry.name, place_of(entry.name)).store(&entry, std::memory_order_release);
  return entry;
}

bool Registry::admit(std::string_view device) {
  if (!watching_.load(std::memory_order_relaxed)) return true;
  Entry* entry = find(device);
  if (entry == nullptr) return admit_stranger(device);
  base::WallMicros now = now_.load(std::memory_order_relaxed);
  if (entry->seen.load(std::memory_order_relaxed) != now) entry->seen.store(now, std::memory_order_relaxed);
  if (entry->state.load(std::memory_order_relaxed) >= State::quarantined) {
    entry->refused.fetch_add(1, std::memory_order_relaxed);
    return false;
  }
  entry->samples.fetch_add(1, std::memory_order_relaxed);
  return true;
}

bool Registry::admit_stranger(std::string_view name) {
  Unknown unknown = unknown_.load(std::memory_order_relaxed);
  if (unknown == Unknown::accept) return true;
  refused_strangers_.fetch_add(1, std::memory_order_relaxed);
  if (unknown == Unknown::refuse || !check_name(name)) return false;
  std::lock_guard lock(mutex_);
  if (strangers_kept_ >= kStrangersMax || find(name) != nullptr) return false;
  Entry& entry = make(name, State::quarantined);
  entry.why = "it is not known";
  strangers_.emplace_back(name);
  ++strangers_kept_;
  return false;
}

void Registry::note_malformed(std::string_view device) {
  if (Entry* entry = find(device)) entry->malformed.fetch_add(1, std::memory_order_relaxed);
}

void Registry::note_seen(std::string_view device) {
  if (Entry* entry = find(device)) entry->seen.store(now_.load(std::memory_order_relaxed), std::memory_order_relaxed);
}

std::optional<Standing> Registry::standing(std::string_view device) const {
  std::lock_guard lock(mutex_);
  const Entry* entry = find(device);
  if (entry == nullptr) return std::nullopt;
  return Standing{entry->state.load(),    entry->why, entry->seen.load(), entry->samples.load(), entry->refused.load(),
                  entry->malformed.load()};
}

Result<void> Registry::check(std::string_view device) const {
  const Entry* entry = find(device);
  if (entry == nullptr) return fail(Errc::not_found, fmt::format("there is no device '{}'", device));
  State state = entry->state.load(std::memory_order_relaxed);
  if (state < State::quarantined) return {};
  std::lock_guard lock(mutex_);
  return fail(Errc::permission_denied,
              fmt::format("the device '{}' is {}{}{}", device,
                          state == State::retired ? "retired" : "in quarantine, and nothing is taken from it",
                          entry->why.empty() ? "" : ": ", entry->why));
}

void Registry::configure(Settings settings) {
  std::lock_guard lock(mutex_);
  unknown_.store(settings.unknown);
  if (settings.quarantine_if != settings_.quarantine_if) {
    for (Entry& entry : entries_) entry.windows.clear();
  }
  settings_ = std::move(settings);
  watching_.store(!entries_.empty() || settings_.unknown != Unknown::accept);
}

Settings Registry::settings() const {
  std::lock_guard lock(mutex_);
  return settings_;
}

bool Registry::put(const store::StoredDevice& device, const std::vector<store::StoredCredential>& credentials) {
  std::lock_guard lock(mutex_);
  State state = parse_state(device.state).value_or(State::quarantined);
  Entry* entry = find(device.name);
  if (entry == nullptr) entry = &make(device.name, state);
  const bool old_news = device.revision < entry->condemned;
  if (old_news && state < State::quarantined) state = State::quarantined;
  // Whoever comes out of quarantine begins anew.
  if (entry->state.load() == State::quarantined && state < State::quarantined) entry->windows.clear();
  if (!old_news) entry->why = device.why;
  entry->stored = true;
  BrokerIdentity before = std::exchange(entry->identity, {});
  if (state < State::quarantined) {
    std::string topics = fmt::format("devices/{}/#", device.name);
    entry->identity = {device.name, {}, {}, {topics}, {topics}};
    for (auto one = credentials.rbegin(); one != credentials.rend(); ++one) {
      if (one->kind == "secret" && !one->broker.empty()) entry->identity.passwords.push_back(one->broker);
      if (one->kind == "certificate") entry->identity.certificates.push_back(subject_of(device.name, one->id));
    }
  }
  if (device.last_seen > entry->seen.load()) entry->seen.store(device.last_seen);
  entry->seen_told = std::max(entry->seen_told, device.last_seen);
  entry->state.store(state);
  watching_.store(true);
  return entry->identity != before;
}

std::vector<BrokerIdentity> Registry::broker_identities() const {
  std::lock_guard lock(mutex_);
  std::vector<BrokerIdentity> all;
  for (const Entry& entry : entries_) {
    if (!entry.identity.passwords.empty() || !entry.identity.certificates.empty()) all.push_back(entry.identity);
  }
  return all;
}

std::vector<std::pair<std::string, base::WallMicros>> Registry::take_seen() {
  std::lock_guard lock(mutex_);
  std::vector<std::pair<std::string, base::WallMicros>> seen;
  for (std::size_t looked = 0; looked < entries_.size() && seen.size() < kTakenAtOnce; ++looked) {
    Entry& entry = entries_[seen_from_++ % entries_.size()];
    base::WallMicros at = entry.seen.load(std::memory_order_relaxed);
    if (!entry.stored || at <= entry.seen_told) continue;
    entry.seen_told = at;
    State fresh = State::fresh;
    entry.state.compare_exchange_strong(fresh, State::active);
    seen.emplace_back(entry.name, at);
  }
  return seen;
}

std::vector<std::string> Registry::take_strangers() {
  std::lock_guard lock(mutex_);
  return std::exchange(strangers_, {});
}

std::vector<Verdict> Registry::judge(base::SteadyTime now) {
  std::lock_guard lock(mutex_);
  std::vector<Verdict> verdicts;
  if (settings_.quarantine_if.empty()) return verdicts;
  for (Entry& entry : entries_) {
    if (entry.state.load() >= State::quarantined) continue;
    if (entry.windows.empty()) {
      for (const QuarantineRule& rule : settings_.quarantine_if)
        entry.windows.push_back({now, entry.figure(rule.figure)});
      continue;
    }
    for (std::size_t i = 0; i < entry.windows.size(); ++i) {
      const QuarantineRule& rule = settings_.quarantine_if[i];
      std::uint64_t figure = entry.figure(rule.figure);
      std::uint64_t count = figure - entry.windows[i].from;
      if (now - entry.windows[i].begun >= rule.within) entry.windows[i] = {now, figure};
      if (count <= rule.most) continue;
      entry.why =
          fmt::format("{} {} broke the rule '{}'", count,
                      rule.figure == QuarantineRule::Figure::samples ? "samples" : "malformed messages", rule.text);
      entry.state.store(State::quarantined);
      entry.condemned = INT64_MAX;
      quarantined_by_rule_.fetch_add(1, std::memory_order_relaxed);
      verdicts.push_back({entry.name, entry.why});
      break;
    }
  }
  return verdicts;
}

void Registry::settle(std::string_view device, std::int64_t revision) {
  std::lock_guard lock(mutex_);
  if (Entry* entry = find(device)) entry->condemned = revision;
}

std::map<State, std::size_t> Registry::counts() const {
  std::lock_guard lock(mutex_);
  std::map<State, std::size_t> counts;
  for (const Entry& entry : entries_) ++counts[entry.state.load()];
  return counts;
}

void Registry::collect(obs::MetricWriter& writer) const {
  if (!watching_.load()) return;
  std::map<State, std::size_t> by_state = counts();
  writer.family("penstock_devices", "gauge", "Devices of the registry by state.");
  for (std::size_t i = 0; i < kStateNames.size(); ++i)
    writer.sample("penstock_devices", {{"state", kStateNames[i]}},
                  static_cast<double>(by_state[static_cast<State>(i)]));
  std::uint64_t refused = 0;
  std::uint64_t malformed = 0;
  {
    std::lock_guard lock(mutex_);
    for (const Entry& entry : entries_) {
      refused += entry.refused.load(std::memory_order_relaxed);
      malformed += entry.malformed.load(std::memory_order_relaxed);
    }
  }
  auto count = [&](std::string_view name, std::string_view help, std::uint64_t value, const obs::Labels& labels = {}) {
    if (!help.empty()) writer.family(name, "counter", help);
    writer.sample(name, labels, static_cast<double>(value));
  };
  count("penstock_device_samples_refused_total", "Samples that were not taken.", refused, {{"why", "quarantine"}});
  count("penstock_device_samples_refused_total", "", refused_strangers_.load(), {{"why", "unknown"}});
  count("penstock_device_malformed_total", "Requests of devices that could not be understood.", malformed);
  count("penstock_device_quarantined_total", "Devices put into quarantine by a rule.", quarantined_by_rule_.load());
}

}  // namespace penstock::device
