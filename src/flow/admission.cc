#include "flow/admission.h"

#include <malloc.h>

#include <cmath>

#include "base/process.h"
#include "obs/log.h"

namespace penstock::flow {
namespace {

// How often a core looks around while calls come.
constexpr auto kLookEvery = std::chrono::milliseconds(50);
// After a pause nothing is known any more.
constexpr auto kForgetAfter = std::chrono::milliseconds(1000);
constexpr auto kSampleEvery = std::chrono::milliseconds(250);
constexpr auto kTrimEvery = std::chrono::seconds(10);
constexpr auto kReportEvery = std::chrono::seconds(1);
// Where each class stops, as a share of a limit: what is left of it is kept for the classes above.
constexpr std::array<double, kPriorities> kStops{1.0, 0.95, 0.9, 0.8};
// Below this nobody is near a stop, and a call costs one comparison.
constexpr double kCalmShare = 0.7;

// Only its own core writes a counter: no locked instruction is needed.
template <class T>
void add(std::atomic<T>& counter, T by) {
  counter.store(counter.load(std::memory_order_relaxed) + by, std::memory_order_relaxed);
}

// One thread in every `every` is told that it is its turn.
bool take_turn(std::atomic<base::SteadyTime::rep>& due, base::SteadyTime now, base::Duration every) {
  base::SteadyTime::rep at = due.load(std::memory_order_relaxed);
  base::SteadyTime::rep next = (now + every).time_since_epoch().count();
  return now.time_since_epoch().count() >= at && due.compare_exchange_strong(at, next, std::memory_order_relaxed);
}

double share_of(double used, double most) { return most > 0 ? used / most : 0; }

}  // namespace

std::string_view to_string(ShedReason reason) {
  switch (reason) {
    case ShedReason::requests: return "requests";
    case ShedReason::buffered: return "buffered";
    case ShedReason::memory: return "memory";
    case ShedReason::lag: return "lag";
    case ShedReason::connections: return "connections";
  }
  return "_OTHER";
}

Shares share_out(const std::array<std::uint64_t, kPriorities>& arrived, double room) {
  Shares shares{};
  for (std::size_t i = 0; i < kPriorities; ++i) {
    auto wanted = static_cast<double>(arrived[i]);
    // A class that nobody asked for may begin when there is room at all.
    shares[i] = wanted > 0 ? std::clamp(room / wanted, 0.0, 1.0) : (room > 0 ? 1.0 : 0.0);
    room = std::max(0.0, room - wanted);
  }
  return shares;
}

Admission::Admission(std::size_t cores, std::shared_ptr<http::Burden> burden, const AdmissionLimits& limits)
    : burden_(std::move(burden)) {
  for (std::size_t i = 0; i < cores; ++i) cores_.push_back(std::make_unique<Core>());
  set_limits(limits);
}

void Admission::set_limits(const AdmissionLimits& limits) {
  requests_max_.store(limits.requests, std::memory_order_relaxed);
  memory_max_.store(limits.memory_bytes, std::memory_order_relaxed);
  lag_max_.store(limits.lag.count(), std::memory_order_relaxed);
  wrong_keys_max_.store(limits.wrong_keys_per_minute, std::memory_order_relaxed);
}

std::int64_t Admission::in_flight() const {
  std::int64_t sum = 0;
  for (const auto& core : cores_) sum += core->in_flight.load(std::memory_order_relaxed);
  return sum;
}

void Admission::enter(const rt::Loop& loop) { add<std::int64_t>(core_of(loop).in_flight, 1); }
void Admission::leave(const rt::Loop& loop) { add<std::int64_t>(core_of(loop).in_flight, -1); }

std::optional<ShedReason> Admission::refuses(rt::Loop& loop, Priority priority, bool spare) {
  Core& core = core_of(loop);
  std::optional<ShedReason> reason;
  if (spare) {
    reason = ShedReason::connections;
  } else {
    if (loop.now() - core.looked_at >= kLookEvery) look(core, loop);
    ++core.arrived[static_cast<std::size_t>(priority)];
    if (!core.calm || core.in_flight.load(std::memory_order_relaxed) > core.calm_until) reason = decide(core, priority);
    core.taken += !reason;
  }
  if (reason) count(core, *reason, priority, loop.now());
  return reason;
}

std::optional<ShedReason> Admission::decide(Core& core, Priority priority) {
  auto index = static_cast<std::size_t>(priority);
  Pressure most = pressure();
  if (most.share > kStops[index]) return most.reason;
  // Even shares without a random number: each call brings its class's share, and whoever fills the measure is taken.
  double& credit = core.credit[index];
  credit += core.shares[index];
  if (credit < 1.0 - 1e-9) return ShedReason::lag;
  credit -= 1.0;
  return std::nullopt;
}

Admission::Pressure Admission::pressure() const {
  Pressure most{
      share_of(static_cast<double>(in_flight()), static_cast<double>(requests_max_.load(std::memory_order_relaxed))),
      ShedReason::requests};
  auto consider = [&](double share, ShedReason reason) {
    if (share > most.share) most = {share, reason};
  };
  consider(share_of(static_cast<double>(burden_->buffered_bytes()), static_cast<double>(burden_->buffered_bytes_max())),
           ShedReason::buffered);
  consider(share_of(static_cast<double>(resident_.load(std::memory_order_relaxed)),
                    static_cast<double>(memory_max_.load(std::memory_order_relaxed))),
           ShedReason::memory);
  return most;
}

void Admission::look(Core& core, rt::Loop& loop) {
  base::SteadyTime now = loop.now();
  sample_memory(now);
  base::Duration lag = loop.take_least_lag();
  core.lag_nanos.store(lag.count(), std::memory_order_relaxed);
  follow_lag(core, lag, now - core.looked_at);
  core.looked_at = now;
  double share = pressure().share;
  bool all = std::all_of(core.shares.begin(), core.shares.end(), [](double part) { return part >= 1.0; });
  core.calm = all && share < kCalmShare;
  auto calm_requests =
      static_cast<std::int64_t>(kCalmShare * static_cast<double>(requests_max_.load(std::memory_order_relaxed)));
  core.calm_until = core.in_flight.load(std::memory_order_relaxed) +
                    std::max<std::int64_t>(0, calm_requests - in_flight()) / static_cast<std::int64_t>(cores_.size());
}

void Admission::follow_lag(Core& core, base::Duration lag, base::Duration passed) {
  base::Duration most(lag_max_.load(std::memory_order_relaxed));
  bool holding = std::any_of(core.shares.begin(), core.shares.end(), [](double part) { return part < 1.0; });
  if (most == base::Duration::zero() || passed > kForgetAfter + lag) {
    core.shares.fill(1.0);
  } else if (holding || lag > most) {
    // Down by half at most in one look, up by a quarter: a queue that stands costs more than a moment of idleness.
    double ratio = static_cast<double>(most.count()) / static_cast<double>(std::max<std::int64_t>(lag.count(), 1));
    double gradient = std::clamp(std::sqrt(ratio), 0.5, 1.25);
    core.shares = share_out(core.arrived, static_cast<double>(core.taken) * gradient + 1);
  }
  core.arrived.fill(0);
  core.taken = 0;
}

void Admission::sample_memory(base::SteadyTime now) {
  std::uint64_t most = memory_max_.load(std::memory_order_relaxed);
  if (most == 0 || !take_turn(sample_due_, now, kSampleEvery)) return;
  std::uint64_t resident = base::resident_bytes();
  // What the allocator keeps for later is not a reason to refuse anybody: it goes back to the system first.
  if (share_of(static_cast<double>(resident), static_cast<double>(most)) > kCalmShare &&
      take_turn(trim_due_, now, kTrimEvery)) {
    ::malloc_trim(0);
    resident = base::resident_bytes();
  }
  resident_.store(resident, std::memory_order_relaxed);
}

void Admission::count(Core& core, ShedReason reason, Priority priority, base::SteadyTime now) {
  add<std::uint64_t>(core.shed[static_cast<std::size_t>(reason)][static_cast<std::size_t>(priority)], 1);
  core.shed_at.store(now.time_since_epoch().count(), std::memory_order_relaxed);
}

std::optional<base::Duration> Admission::too_many_wrong_keys(const rt::Loop& loop, std::uint64_t client) {
  Core& core = core_of(loop);
  add<std::uint64_t>(core.wrong_keys, 1);
  std::int64_t per_minute = wrong_keys_max_.load(std::memory_order_relaxed);
  if (client == 0 || per_minute == 0) return std::nullopt;
  std::optional<base::Duration> wait;
  bool granted = false;
  for (std::size_t cell : wrong_cells_.of(client)) {
    RateBucket::Answer answer = wrong_keys_[cell].take(loop.now(), 1, per_minute);
    granted = granted || answer.granted;
    wait = std::min(wait.value_or(answer.retry_after), answer.retry_after);
  }
  if (granted) return std::nullopt;
  add<std::uint64_t>(core.wrong_keys_refused, 1);
  return wait;
}

std::array<std::array<std::uint64_t, kPriorities>, kShedReasons> Admission::sums() const {
  std::array<std::array<std::uint64_t, kPriorities>, kShedReasons> total{};
  for (const auto& core : cores_) {
    for (std::size_t reason = 0; reason < kShedReasons; ++reason) {
      for (std::size_t i = 0; i < kPriorities; ++i)
        total[reason][i] += core->shed[reason][i].load(std::memory_order_relaxed);
    }
  }
  return total;
}

bool Admission::shedding() const {
  base::SteadyTime::rep latest = 0;
  for (const auto& core : cores_) latest = std::max(latest, core->shed_at.load(std::memory_order_relaxed));
  return latest != 0 && std::chrono::steady_clock::now() - base::SteadyTime(base::Duration(latest)) < kReportEvery;
}

void Admission::report() {
  base::SteadyTime now = std::chrono::steady_clock::now();
  if (now - reported_at_ < kReportEvery) return;
  auto total = sums();
  std::uint64_t shed = 0;
  std::string details;
  for (std::size_t reason = 0; reason < kShedReasons; ++reason) {
    for (std::size_t i = 0; i < kPriorities; ++i) {
      std::uint64_t more = total[reason][i] - reported_[reason][i];
      shed += more;
      if (more == 0) continue;
      fmt::format_to(std::back_inserter(details), "{}{} {}: {}", details.empty() ? "" : ", ", kPriorityNames[i],
                     to_string(static_cast<ShedReason>(reason)), more);
    }
  }
  if (shed == 0) return;
  reported_ = total;
  reported_at_ = now;
  obs::log(obs::Level::warn, "more is asked than can be served; some calls were refused",
           {{"refused", std::to_string(shed)}, {"by class and reason", details}});
}

void Admission::collect(obs::MetricWriter& writer) const {
  auto one = [&](std::string_view name, std::string_view type, std::string_view help, double value) {
    writer.family(name, type, help);
    writer.sample(name, {}, value);
  };
  writer.family("penstock_shed_total", "counter", "Calls refused because the gateway had too much to do.");
  auto total = sums();
  for (std::size_t reason = 0; reason < kShedReasons; ++reason) {
    for (std::size_t i = 0; i < kPriorities; ++i) {
      writer.sample("penstock_shed_total",
                    {{"reason", to_string(static_cast<ShedReason>(reason))}, {"class", kPriorityNames[i]}},
                    static_cast<double>(total[reason][i]));
    }
  }
  writer.family("penstock_connections_refused_total", "counter",
                "Connections closed at once, by the limit that was reached.");
  auto refused = [&](std::string_view limit, http::Burden::Refused what) {
    writer.sample("penstock_connections_refused_total", {{"limit", limit}},
                  static_cast<double>(burden_->refused(what)));
  };
  refused("connections", http::Burden::Refused::connections);
  refused("connections_per_address", http::Burden::Refused::client);
  one("penstock_bodies_refused_total", "counter", "Requests whose body had no room.",
      static_cast<double>(burden_->refused(http::Burden::Refused::bodies)));
  one("penstock_connections", "gauge", "Open connections of the data listeners.",
      static_cast<double>(burden_->connections()));
  one("penstock_requests_in_flight", "gauge", "Requests taken and not ended.", static_cast<double>(in_flight()));
  one("penstock_buffered_bytes", "gauge", "Memory of large requests, and of answers slow clients take.",
      static_cast<double>(burden_->buffered_bytes()));
  double lag = 0;
  std::uint64_t wrong = 0;
  std::uint64_t wrong_refused = 0;
  for (const auto& core : cores_) {
    lag = std::max(lag, static_cast<double>(core->lag_nanos.load(std::memory_order_relaxed)) / 1e9);
    wrong += core->wrong_keys.load(std::memory_order_relaxed);
    wrong_refused += core->wrong_keys_refused.load(std::memory_order_relaxed);
  }
  one("penstock_loop_lag_seconds", "gauge",
      "The least time that work waited for the busiest core in its last 50 ms with calls.", lag);
  one("penstock_wrong_keys_total", "counter", "Calls with a key that nobody has.", static_cast<double>(wrong));
  one("penstock_wrong_keys_refused_total", "counter", "Of these, answered 429 because their address sent too many.",
      static_cast<double>(wrong_refused));
}

}  // namespace penstock::flow
