#include "device/clerk.h"

#include <system_error>

#include "device/office.h"
#include "device/onboarding.h"
#include "json/value.h"
#include "obs/log.h"
#include "rt/loop.h"

namespace penstock::device {
namespace {

constexpr auto kTick = std::chrono::seconds(1);
constexpr int kTicksPerWriting = 10;
// Who puts a device into quarantine when a rule says so.
constexpr const char* kActor = "gateway";

void complain(const char* what, const Error& error) { obs::log(obs::Level::warn, what, {{"why", error.detail}}); }

}  // namespace

struct Watch::State {
  State(rt::Loop& on, std::function<void()> told) : loop(on), changed(std::move(told)) {}
  rt::Loop& loop;
  std::function<void()> changed;  // used and cleared on the loop only
};

Watch::~Watch() { state_->changed = nullptr; }

Clerk::Clerk(Options options, store::State reading, store::State working)
    : options_(std::move(options)),
      reading_state_(std::move(reading)),
      working_state_(std::move(working)),
      store_(std::make_unique<store::DeviceStore>(working_state_)) {}

Result<std::unique_ptr<Clerk>> Clerk::open(Options options) {
  auto reading = store::State::open(options.data_dir);
  if (!reading) return std::unexpected(reading.error());
  auto working = store::State::open(options.data_dir);
  if (!working) return std::unexpected(working.error());
  std::unique_ptr<Clerk> clerk(new Clerk(std::move(options), std::move(*reading), std::move(*working)));
  clerk->registry_.set_time(clerk->options_.clock->wall());
  clerk->refresh();
  return clerk;
}

Clerk::~Clerk() { stop(); }

void Clerk::start() {
  {
    std::lock_guard lock(stop_mutex_);
    started_ = true;
  }
  tick_when_needed();
}

void Clerk::configure(Settings settings) {
  registry_.configure(std::move(settings));
  tick_when_needed();
}

// Most gateways have no devices, and then no thread for them.
void Clerk::tick_when_needed() {
  std::lock_guard lock(stop_mutex_);
  if (!started_ || stopping_ || ticker_.joinable() || !registry_.watching()) return;
  registry_.set_time(options_.clock->wall());
  try {
    ticker_ = std::thread([this] { run(); });
  } catch (const std::system_error& error) {
    obs::log(obs::Level::error, "no thread for the devices: rules are not judged until the next change of a device",
             {{"why", error.what()}});
  }
}

void Clerk::stop() {
  {
    std::lock_guard lock(stop_mutex_);
    if (std::exchange(stopping_, true)) return;
  }
  stop_changed_.notify_all();
  if (ticker_.joinable()) ticker_.join();
  if (!registry_.watching()) return;
  std::atomic<bool> written{false};
  auto last = pool_.submit([&] {
    tick(true);
    written.store(true);
    written.notify_one();
  });
  if (last) written.wait(false);
}

// A tick that the store is too busy for is left out.
void Clerk::run() {
  std::unique_lock lock(stop_mutex_);
  for (int ticks = 1; !stopping_; ++ticks) {
    stop_changed_.wait_for(lock, kTick, [this] { return stopping_; });
    registry_.set_time(options_.clock->wall());
    bool writing = ticks % kTicksPerWriting == 0;
    if (ticking_.exchange(true)) continue;
    auto given = pool_.submit([this, writing] {
      tick(writing);
      ticking_.store(false);
    });
    if (!given) ticking_.store(false);
  }
}

// On the store's thread.
void Clerk::tick(bool write_seen) {
  if (!registry_.watching()) return;
  for (Verdict& verdict : registry_.judge(options_.clock->steady())) verdicts_.push_back(std::move(verdict));
  for (std::string& name : registry_.take_strangers()) strangers_.push_back({std::move(name), "it is not known"});
  const bool changed = !verdicts_.empty() || !strangers_.empty();
  // What the store does not take now it is given again.
  std::erase_if(verdicts_, [this](const Verdict& one) { return quarantine(one, false); });
  std::erase_if(strangers_, [this](const Verdict& one) { return quarantine(one, true); });
  if (auto expired = store_->expire_commands(options_.clock->wall())) {
    expired_commands_.fetch_add(static_cast<std::uint64_t>(*expired));
  } else {
    complain("commands to devices cannot be looked at", expired.error());
  }
  if (write_seen) {
    find_unanswered();
    auto seen = registry_.take_seen();
    if (!seen.empty()) {
      if (auto noted = store_->note_seen(seen); !noted)
        complain("when devices were last seen could not be written", noted.error());
    }
  }
  if (changed && options_.wake) options_.wake();
}

// False when the store does not take it now.
bool Clerk::quarantine(const Verdict& verdict, bool stranger) {
  const store::Actor actor{kActor, options_.clock->wall()};
  std::int64_t revision = 0;
  Result<void> done;
  if (stranger) {
    store::StoredDevice device;
    device.name = verdict.device;
    device.state = "quarantined";
    device.why = verdict.why;
    device.created = actor.at;
    done = store_->add(device, actor);
    if (!done && done.error().code == Errc::already_exists) return true;  // somebody knows it by now
  } else {
    auto changed = store_->change(verdict.device, "device.quarantine", actor, into_quarantine(verdict.why));
    if (changed) revision = changed->revision;
    if (!changed) done = std::unexpected(changed.error());
    // Retired meanwhile: nothing is taken from it anyway.
    if (!done && done.error().code == Errc::failed_precondition) done = {};
  }
  if (!done) {
    complain("a device could not be put into quarantine yet", done.error());
    return false;
  }
  if (!stranger) registry_.settle(verdict.device, revision);
  obs::log(obs::Level::warn, "a device is in quarantine", {{"device", verdict.device}, {"why", verdict.why}});
  return true;
}

// The number is read first: what changes meanwhile is noticed later.
void Clerk::refresh() {
  std::vector<std::string> names;
  {
    std::lock_guard lock(refresh_mutex_);
    auto now = reading_.revision();
    if (!now) return complain("devices cannot be read; those read last stay", now.error());
    if (*now == revision_) return tell_list_again();
    bool known_otherwise = false;
    auto read = reading_.read(revision_, [&](const store::StoredDevice& device, const auto& credentials) {
      known_otherwise = registry_.put(device, credentials) || known_otherwise;
      if (options_.changed) options_.changed(device, credentials);
      names.push_back(device.name);
    });
    if (!read) return complain("devices cannot be read; those read last stay", read.error());
    revision_ = *now;
    // Without any device it is the authority that changed.
    if (identities_told_ && (known_otherwise || names.empty()))
      tell_identities();
    else
      tell_list_again();
  }
  tick_when_needed();
  tell_watchers(names);
  tell_broker(names);
}

// With refresh_mutex_ held. The list goes first: the broker reads it when it is told.
void Clerk::tell_identities() {
  if (auto listed = publish_revoked(reading_, options_.data_dir, options_.clock->wall()); !listed) {
    complain("the list of revoked certificates cannot be written; the one before stays, and it is tried again",
             listed.error());
    list_due_ = options_.clock->steady() + list_retries_.next();
  } else {
    list_due_.reset();
    list_retries_.reset();
  }
  identities_told_(registry_.broker_identities());
}

// With refresh_mutex_ held.
void Clerk::tell_list_again() {
  if (list_due_ && identities_told_ && options_.clock->steady() >= *list_due_) tell_identities();
}

std::unique_ptr<Watch> Clerk::watch(const std::string& device, rt::Loop& loop, std::function<void()> changed) {
  auto state = std::make_shared<Watch::State>(loop, std::move(changed));
  std::lock_guard lock(watch_mutex_);
  auto [from, to] = watches_.equal_range(device);
  while (from != to) from = from->second.expired() ? watches_.erase(from) : std::next(from);
  watches_.emplace(device, state);
  return std::make_unique<Watch>(std::move(state));
}

void Clerk::tell_watchers(const std::vector<std::string>& names) {
  std::lock_guard lock(watch_mutex_);
  for (const std::string& name : names) {
    auto [from, to] = watches_.equal_range(name);
    while (from != to) {
      auto state = from->second.lock();
      if (!state) {
        from = watches_.erase(from);
        continue;
      }
      state->loop.post([state] {
        if (state->changed) state->changed();
      });
      ++from;
    }
  }
}

void Clerk::collect(obs::MetricWriter& writer) const {
  registry_.collect(writer);
  if (registry_.counts().empty()) return;
  auto count = [&](std::string_view name, std::string_view help, const std::atomic<std::uint64_t>& value) {
    writer.family(name, "counter", help);
    writer.sample(name, {}, static_cast<double>(value.load()));
  };
  count("penstock_device_onboarded_total", "Devices that got a credential for a code.", onboarded_);
  count("penstock_device_codes_refused_total", "Onboarding codes that nobody has.", refused_codes_);
  count("penstock_device_commands_expired_total", "Commands that no device answered in time.", expired_commands_);
}

}  // namespace penstock::device
