#include "quota/sharer.h"

#include <pthread.h>

#include <algorithm>

namespace penstock::quota {
namespace {

using namespace std::chrono_literals;

// However many slices are used up: so often at most.
constexpr base::Duration kBreath = 2ms;
constexpr base::Duration kRetryLeast = 50ms;
constexpr base::Duration kRetryMost = 1s;
constexpr base::Duration kRefusedPause = 5s;
// For connections that take their time, when all come at once.
constexpr base::Duration kPutBack = 700ms;

}  // namespace

Sharer::Sharer(SharerPorts ports, const base::Clock& clock)
    : ports_(std::move(ports)),
      clock_(clock),
      backoff_(kRetryLeast, kRetryMost),
      mirror_(ports_.records, ports_.trouble) {}

Sharer::~Sharer() { stop(); }

void Sharer::configure(std::optional<ShareConfig> config) {
  {
    std::lock_guard lock(mutex_);
    change_ = Change{std::move(config)};
    woken_ = true;
  }
  changed_.notify_one();
}

void Sharer::start() {
  take_change();  // whoever is served next is served by what the configuration says
  thread_ = std::thread([this] { run(); });
}

void Sharer::stop() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_one();
  if (thread_.joinable()) thread_.join();
}

void Sharer::wake() {
  {
    std::lock_guard lock(mutex_);
    if (std::exchange(woken_, true)) return;
  }
  changed_.notify_one();
}

ShareStatus Sharer::status() const {
  std::lock_guard lock(mutex_);
  return status_;
}

void Sharer::run() {
  pthread_setname_np(pthread_self(), "shared");
  while (true) {
    const base::Duration pause = std::max(step(), kBreath);
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, kBreath, [&] { return stopping_; });
    changed_.wait_for(lock, pause - kBreath, [&] { return woken_ || stopping_; });
    woken_ = false;
    if (stopping_) break;
  }
  say_goodbye();
}

void Sharer::say_goodbye() {
  if (!share_ || !answers_) return;
  // What a batch without an answer left over is in the next one.
  for (int i = 0; i < 2 && answers_; ++i) step();
  share_->leave();
}

void Sharer::take_change() {
  std::optional<Change> change;
  {
    std::lock_guard lock(mutex_);
    change = std::exchange(change_, std::nullopt);
  }
  if (!change) return;
  const bool same = config_ && change->config && config_->spec == change->config->spec;
  config_ = std::move(change->config);
  if (same) return;
  if (share_) share_->leave();
  share_ = config_ ? config_->store.open() : nullptr;
  mirror_.restart();
  mirror_after_ = {};
  backoff_.reset();
  tried_again_ = said_lost_ = heard_ = answers_ = false;
  whole_at_ = {};
  gateways_ = 1;
  lost_at_ = clock_.steady();
  set_state(false, config_ ? config_->gateways : 1);
}

base::Duration Sharer::step() {
  take_change();
  if (!share_) return 1h;
  if (!unanswered_) {
    ++batch_.number;
    batch_.uses = ports_.uses(now());
    unanswered_ = true;
  }
  auto answer = exchange();
  if (!answer) return failed(answer.error());
  const ShareAnswer heard = *answer;
  answered(std::move(*answer));
  return mirror(heard) ? kBreath : config_->every;
}

// Limits do not depend on it: whether the store is lost is for the next exchange to tell. One that refuses (an ACL, a
// replica) is asked again later.
bool Sharer::mirror(const ShareAnswer& heard) {
  if (!config_->keys || clock_.steady() < mirror_after_) return false;
  auto more = mirror_.step(*share_, heard);
  if (more) {
    said_refused_ = false;
    return *more;
  }
  const Errc code = more.error().code;
  if (code == Errc::unavailable || code == Errc::deadline_exceeded) return false;
  if (!std::exchange(said_refused_, true)) ports_.trouble(more.error());
  mirror_after_ = clock_.steady() + kRefusedPause;
  return false;
}

Result<ShareAnswer> Sharer::exchange() {
  const base::SteadyTime begun = clock_.steady();
  auto answer = share_->exchange(batch_);
  if (answer) ports_.exchanged(clock_.steady() - begun);
  return answer;
}

void Sharer::answered(ShareAnswer answer) {
  unanswered_ = false;
  tried_again_ = false;
  backoff_.reset();
  answers_ = true;
  ports_.apply(answer.sums, now());
  {
    std::lock_guard lock(mutex_);
    ++status_.exchanges;
  }
  if (std::exchange(heard_, true) && answer.fresh) data_lost();
  if (clock_.steady() < whole_at_) return;
  gateways_ = answer.gateways;
  const bool was_away = !state_.connected;
  set_state(true, gateways_);
  if (was_away) {
    said_lost_ = false;
    ports_.connected(clock_.steady() - lost_at_);
  }
}

// Of a meter that was not used here lately, the store knows again what was given out elsewhere only when the others
// have told: each within its longest pause after a failure, and with the second exchange of the new life.
void Sharer::data_lost() {
  const Error error{Errc::data_loss, "it has lost its data, which the gateways put back"};
  const int parts = std::max(gateways_, config_->gateways);
  if (state_.connected) lost_at_ = clock_.steady();
  whole_at_ = clock_.steady() + kRetryMost + 3 * config_->every + kPutBack;
  set_state(false, parts);
  ports_.set(state_, now());
  {
    std::lock_guard lock(mutex_);
    status_.why = error.detail;
  }
  if (!std::exchange(said_lost_, true)) ports_.lost(error, parts);
}

// A connection that merely ended is made again at once; only when that fails, or nobody answers, the store is lost.
base::Duration Sharer::failed(const Error& error) {
  {
    std::lock_guard lock(mutex_);
    ++status_.failures;
    status_.why = error.detail;
  }
  if (state_.connected && error.code == Errc::unavailable && !std::exchange(tried_again_, true)) return kBreath;
  const int parts = std::max(gateways_, config_->gateways);
  answers_ = false;
  if (state_.connected) lost_at_ = clock_.steady();
  set_state(false, parts);
  if (!std::exchange(said_lost_, true)) ports_.lost(error, parts);
  // The password may have been changed, in the configuration too.
  if (error.code == Errc::permission_denied) share_ = config_->store.open();
  return backoff_.next();
}

void Sharer::set_state(bool connected, int gateways) {
  const bool on = config_.has_value();
  const double slice = config_ ? config_->slice : state_.slice;
  const bool same =
      state_.on == on && state_.connected == connected && state_.gateways == gateways && state_.slice == slice;
  state_ = {on, connected, gateways, slice};
  if (!same) ports_.set(state_, now());
  std::lock_guard lock(mutex_);
  status_.on = on;
  status_.connected = connected;
  status_.gateways = gateways;
  status_.place = config_ ? config_->store.place : std::string();
  if (connected) status_.why.clear();
}

}  // namespace penstock::quota
