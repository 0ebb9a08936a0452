#include "ingest/notifier.h"

#include <deque>

#include "base/backoff.h"

namespace penstock::ingest {
namespace {

constexpr base::Duration kRetryLeast = std::chrono::seconds(1);
constexpr base::Duration kRetryMost = std::chrono::minutes(5);

base::WallMicros micros(base::Duration duration) {
  return std::chrono::duration_cast<std::chrono::microseconds>(duration).count();
}

// In order of the number behind it.
constexpr std::string_view kPrefix = ".notice/";
std::string prefix(std::string_view target) { return fmt::format("{}{}\n", kPrefix, target); }

}  // namespace

// One target's queue. put(), take_up(), hand_over() and status() from any thread, the rest on the loop.
class Notifier::Line : public std::enable_shared_from_this<Line> {
 public:
  Line(NotifyTarget target, std::unique_ptr<Carrier> carrier, rt::Loop& loop, const base::Clock& clock,
       StatePort* state, const Noted& noted)
      : target_(std::move(target)),
        carrier_(std::move(carrier)),
        loop_(loop),
        clock_(clock),
        state_(state),
        noted_(noted) {}

  const NotifyTarget& target() const { return target_; }

  void put(const Notice& notice) {
    if (rank_of(notice.alarm.severity) < target_.least) return;
    std::optional<Notice> given_up;
    {
      std::lock_guard lock(mutex_);
      Waiting fresh{
          .notice = notice, .key = fmt::format("{}{:016x}", prefix(target_.name), next_++), .since = clock_.steady()};
      if (state_ != nullptr) state_->put(fresh.key, to_text(notice));
      waiting_.push_back(std::move(fresh));
      if (waiting_.size() > kWaitingMax) given_up = make_room();
    }
    if (given_up) tell(*given_up, "not_told", fmt::format("{} notices wait already", kWaitingMax));
    loop_.post([self = shared_from_this()] { self->pump(); });
  }

  // What the process, or the line, before this one did not get rid of. Before anything is put.
  void take_up(std::deque<Waiting> before) {
    if (before.empty()) return;
    {
      std::lock_guard lock(mutex_);
      const std::string& newest = before.back().key;
      next_ = std::strtoull(newest.c_str() + prefix(target_.name).size(), nullptr, 16) + 1;
      waiting_ = std::move(before);
    }
    loop_.post([self = shared_from_this()] { self->pump(); });
  }
  // What waits stays remembered.
  std::deque<Waiting> hand_over() {
    std::lock_guard lock(mutex_);
    return std::exchange(waiting_, {});
  }
  // Of a line that goes on: figures that people have seen.
  void count_on(const NotifyStatus& before) {
    std::lock_guard lock(mutex_);
    status_ = before;
  }

  NotifyStatus status() const {
    std::lock_guard lock(mutex_);
    NotifyStatus status = status_;
    status.name = target_.name;
    status.waiting = waiting_.size();
    return status;
  }

  void stop() {
    loop_.post([self = shared_from_this()] {
      self->stopped_ = true;
      self->timer_.reset();
    });
  }

 private:
  void tell(const Notice& notice, std::string_view what, const std::string& why) const {
    if (noted_) noted_(notice, target_.name, what, why);
  }

  // A clock that the network sets right after a start makes nothing old.
  bool too_old(const Waiting& one) const {
    if (one.since) return clock_.steady() - *one.since > kKeepFor;
    return one.notice.at + micros(kKeepFor) < clock_.wall();
  }

  // --- under the lock ---
  Notice remove(std::deque<Waiting>::iterator at) {
    if (state_ != nullptr) state_->erase(at->key);
    Notice notice = std::move(at->notice);
    waiting_.erase(at);
    return notice;
  }
  // The first may be under way.
  Notice make_room() {
    ++status_.dropped;
    return remove(std::min_element(waiting_.begin() + 1, waiting_.end(), [](const Waiting& a, const Waiting& b) {
      return rank_of(a.notice.alarm.severity) < rank_of(b.notice.alarm.severity);
    }));
  }

  void pump() {
    if (busy_ || stopped_ || (timer_ && timer_->armed())) return;
    std::optional<Notice> notice;
    std::vector<Notice> old;
    {
      std::lock_guard lock(mutex_);
      while (!waiting_.empty() && too_old(waiting_.front())) {
        old.push_back(remove(waiting_.begin()));
        ++status_.dropped;
      }
      if (!waiting_.empty()) {
        notice = waiting_.front().notice;
        under_way_ = waiting_.front().key;
      }
    }
    for (const Notice& one : old) tell(one, "not_told", "it is older than a day: " + status().trouble);
    if (!notice) return;
    busy_ = true;
    carrier_->send(loop_, *notice, [weak = weak_from_this()](Result<void> sent) {
      auto self = weak.lock();
      if (self) self->loop_.post([self, sent = std::move(sent)] { self->answered(sent); });
    });
  }

  void answered(const Result<void>& sent) {
    busy_ = false;
    if (stopped_) return;
    const bool settled = sent || sent.error().code == Errc::invalid_argument;
    const std::string why = sent ? "" : sent.error().detail;
    std::string_view what = sent ? "told" : settled ? "not_told" : "";
    std::optional<Notice> notice;
    {
      std::lock_guard lock(mutex_);
      ++(sent ? status_.delivered : status_.failed);
      status_.trouble = why;
      if (settled && !sent) ++status_.dropped;
      if (!waiting_.empty() && waiting_.front().key == under_way_) {
        if (settled) {
          notice = remove(waiting_.begin());
        } else if (!std::exchange(waiting_.front().delayed, true)) {
          notice = waiting_.front().notice;
          what = "delayed";
        }
      }
    }
    if (notice) tell(*notice, what, why);
    if (settled) {
      backoff_.reset();
      return pump();
    }
    if (!timer_) timer_ = std::make_unique<rt::Timer>(loop_);
    timer_->arm_in(backoff_.next(), [this] { pump(); });
  }

  const NotifyTarget target_;
  const std::unique_ptr<Carrier> carrier_;
  rt::Loop& loop_;
  const base::Clock& clock_;
  StatePort* const state_;
  const Noted noted_;
  // The loop's.
  base::Backoff backoff_{kRetryLeast, kRetryMost};
  std::unique_ptr<rt::Timer> timer_;
  bool busy_ = false;
  bool stopped_ = false;
  std::string under_way_;
  mutable std::mutex mutex_;  // guards what follows
  std::uint64_t next_ = 0;
  std::deque<Waiting> waiting_;
  NotifyStatus status_;
};

Notifier::Notifier(rt::Loop& loop, HttpPort* http, const base::Clock& clock, StatePort* state, Noted noted)
    : loop_(loop), clock_(clock), state_(state), noted_(std::move(noted)), parts_{.http = http, .pool = nullptr} {}

Notifier::~Notifier() = default;

void Notifier::stage(const AlarmConfig& config) {
  std::lock_guard lock(mutex_);
  staged_ = config.names();
}

std::deque<Notifier::Waiting> Notifier::remembered(const std::string& target) const {
  std::deque<Waiting> found;
  if (state_ == nullptr) return found;
  for (const auto& [key, text] : state_->entries(prefix(target))) {
    if (auto notice = notice_from(text)) {
      found.push_back({.notice = std::move(*notice), .key = key});
    } else {
      state_->erase(key);
    }
  }
  return found;
}

void Notifier::give_up(const std::string& target, const std::deque<Waiting>& waiting) const {
  for (const Waiting& one : waiting) {
    if (state_ != nullptr) state_->erase(one.key);
    if (noted_) noted_(one.notice, target, "not_told", "the configuration has this target no more");
  }
}

void Notifier::apply(const AlarmConfig& config) {
  std::lock_guard lock(mutex_);
  std::map<std::string, std::shared_ptr<Line>> lines;
  for (const NotifyTarget& target : config.targets) {
    auto there = lines_.find(target.name);
    if (there != lines_.end() && there->second->target().written == target.written) {
      lines[target.name] = there->second;
      continue;
    }
    auto line = std::make_shared<Line>(target, make_carrier(target, parts_), loop_, clock_, state_, noted_);
    lines[target.name] = line;
    if (there != lines_.end()) {
      there->second->stop();
      line->count_on(there->second->status());
      line->take_up(there->second->hand_over());
    } else {
      line->take_up(remembered(target.name));
    }
  }
  for (const auto& [name, line] : lines_) {
    if (lines.contains(name)) continue;
    line->stop();
    give_up(name, line->hand_over());
  }
  lines_ = std::move(lines);
  if (state_ == nullptr) return;
  // Of targets that were taken out while no process ran.
  for (const auto& [key, text] : state_->entries(std::string(kPrefix))) {
    const std::string target = key.substr(kPrefix.size(), key.find('\n') - kPrefix.size());
    if (!lines_.contains(target)) give_up(target, remembered(target));
  }
}

void Notifier::stop() {
  std::lock_guard lock(mutex_);
  for (const auto& [name, line] : lines_) line->stop();
}

std::vector<std::string> Notifier::targets() const {
  std::lock_guard lock(mutex_);
  return staged_;
}

void Notifier::tell(const std::vector<std::string>& targets, const Notice& notice) {
  std::lock_guard lock(mutex_);
  std::vector<std::string> once = targets;
  std::sort(once.begin(), once.end());
  once.erase(std::unique(once.begin(), once.end()), once.end());
  for (const std::string& target : once) {
    if (auto found = lines_.find(target); found != lines_.end()) found->second->put(notice);
  }
}

std::vector<NotifyStatus> Notifier::status() const {
  std::lock_guard lock(mutex_);
  std::vector<NotifyStatus> all;
  for (const auto& [name, line] : lines_) all.push_back(line->status());
  return all;
}

}  // namespace penstock::ingest
