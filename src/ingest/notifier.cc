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

}  // namespace

// One target's queue. put() and status() from any thread, the rest on the loop.
class Notifier::Line : public std::enable_shared_from_this<Line> {
 public:
  Line(NotifyTarget target, std::unique_ptr<Carrier> carrier, rt::Loop& loop, const base::Clock& clock)
      : target_(std::move(target)), carrier_(std::move(carrier)), loop_(loop), clock_(clock) {}

  const NotifyTarget& target() const { return target_; }

  void put(const Notice& notice) {
    if (rank_of(notice.alarm.severity) < target_.least) return;
    {
      std::lock_guard lock(mutex_);
      if (waiting_.size() >= kWaitingMax) {
        // The first may be under way.
        waiting_.erase(waiting_.begin() + 1);
        ++status_.dropped;
      }
      waiting_.push_back(notice);
    }
    loop_.post([self = shared_from_this()] { self->pump(); });
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
  void pump() {
    if (busy_ || stopped_ || (timer_ && timer_->armed())) return;
    std::optional<Notice> notice;
    {
      std::lock_guard lock(mutex_);
      while (!waiting_.empty() && waiting_.front().at + micros(kKeepFor) < clock_.wall()) {
        waiting_.pop_front();
        ++status_.dropped;
      }
      if (waiting_.empty()) return;
      notice = waiting_.front();
    }
    busy_ = true;
    carrier_->send(loop_, *notice, [weak = weak_from_this()](Result<void> sent) {
      auto self = weak.lock();
      if (self) self->loop_.post([self, sent = std::move(sent)] { self->answered(sent); });
    });
  }

  void answered(const Result<void>& sent) {
    busy_ = false;
    if (stopped_) return;
    bool settled = sent || sent.error().code == Errc::invalid_argument;
    {
      std::lock_guard lock(mutex_);
      if (sent) {
        ++status_.delivered;
        status_.trouble.clear();
      } else {
        ++status_.failed;
        status_.trouble = sent.error().detail;
        if (settled) ++status_.dropped;
      }
      if (settled && !waiting_.empty()) waiting_.pop_front();
    }
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
  // The loop's.
  base::Backoff backoff_{kRetryLeast, kRetryMost};
  std::unique_ptr<rt::Timer> timer_;
  bool busy_ = false;
  bool stopped_ = false;
  mutable std::mutex mutex_;  // guards what follows
  std::deque<Notice> waiting_;
  NotifyStatus status_;
};

Notifier::Notifier(rt::Loop& loop, HttpPort* http, const base::Clock& clock)
    : loop_(loop), clock_(clock), parts_{.http = http, .pool = nullptr} {}

Notifier::~Notifier() = default;

void Notifier::stage(const AlarmConfig& config) {
  std::lock_guard lock(mutex_);
  staged_ = config.names();
}

void Notifier::apply(const AlarmConfig& config) {
  std::lock_guard lock(mutex_);
  std::map<std::string, std::shared_ptr<Line>> lines;
  for (const NotifyTarget& target : config.targets) {
    auto there = lines_.find(target.name);
    bool same = there != lines_.end() && there->second->target().written == target.written;
    lines[target.name] =
        same ? there->second : std::make_shared<Line>(target, make_carrier(target, parts_), loop_, clock_);
  }
  for (const auto& [name, line] : lines_) {
    if (!lines.contains(name) || lines.at(name) != line) line->stop();
  }
  lines_ = std::move(lines);
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
