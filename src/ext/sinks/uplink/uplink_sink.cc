#include "ext/sinks/uplink/uplink_sink.h"

#include <fmt/format.h>

#include <algorithm>

namespace penstock::ext {

UplinkSink::UplinkSink(UplinkOptions options, const base::Clock& clock)
    : clock_(clock), back_after_(options.back_after), timeout_(options.timeout), probe_(std::move(options.probe)) {
  for (UplinkLink& link : options.links) {
    const auto costs_more = [&](const Link& other) { return other.what.cost > link.cost; };
    auto place = links_.emplace(std::find_if(links_.begin(), links_.end(), costs_more));
    place->what = std::move(link);
  }
}

Result<void> UplinkSink::start(rt::Loop& loop) {
  loop_ = &loop;
  alive_ = std::make_shared<bool>(true);
  for (Link& link : links_) {
    link.next_try = clock_.steady();
    link.what.sink->on_ready([this, &link] {
      if (!link.usable) recover(link);
    });
    auto started = link.what.sink->start(loop);
    if (!started) fail(link, started.error().detail);
  }
  choose();
  timer_ = std::make_unique<rt::Timer>(loop);
  tick();
  return {};
}

void UplinkSink::tick() {
  const base::SteadyTime now = clock_.steady();
  if (under_way_ && now >= under_way_->until) {
    answered(under_way_->number, {.outcome = ingest::Sent::Outcome::again,
                                  .why = fmt::format("{} did not confirm within {}", current_->what.name,
                                                     base::format_duration(timeout_))});
  }
  // An outlet that is being stopped stops us from within its answer.
  for (Link& link : links_) {
    if (alive_) look_after(link, now);
  }
  if (alive_ && choose() && told_) told_();
  if (alive_) timer_->arm_in(kTick, [this] { tick(); });
}

// A metered link that is not needed is left alone: looking at it costs money.
void UplinkSink::look_after(Link& link, base::SteadyTime now) {
  if (now < link.next_try || link.probing) return;
  if (link.what.metered && &link != current_ && current_ != nullptr) return;
  if (!link.what.probe) {
    if (!link.usable) recover(link);
    return;
  }
  link.probing = true;
  link.next_try = now + link.what.every;
  probe_(*loop_, *link.what.probe, [this, &link, alive = std::weak_ptr<bool>(alive_)](Result<void> answer) {
    if (!alive.expired()) probed(link, answer);
  });
}

void UplinkSink::probed(Link& link, const Result<void>& answer) {
  link.probing = false;
  if (answer && !link.usable) return recover(link);
  if (answer || !link.usable) return;
  // Nothing that went out over it will be confirmed.
  std::string why = fmt::format("{}: {}", link.what.probe->text(), answer.error().detail);
  if (&link == current_ && under_way_) {
    return answered(under_way_->number, {.outcome = ingest::Sent::Outcome::again, .why = std::move(why)});
  }
  fail(link, std::move(why));
  if (choose() && told_) told_();
}

void UplinkSink::fail(Link& link, std::string why) {
  link.usable = false;
  link.why = std::move(why);
  link.next_try = clock_.steady() + link.what.every;
  show();
}

void UplinkSink::recover(Link& link) {
  link.usable = true;
  link.why.clear();
  link.well_since = clock_.steady();
  if (choose() && told_) told_();
  show();
}

// True: another one than before is in use.
bool UplinkSink::choose() {
  const base::SteadyTime now = clock_.steady();
  const bool working = current_ != nullptr && current_->usable;
  Link* chosen = nullptr;
  for (Link& link : links_) {
    if (!link.usable) continue;
    const bool settled = !working || &link == current_ || !link.well_since || now - *link.well_since >= back_after_;
    if (!settled) continue;
    chosen = &link;
    break;
  }
  // A batch that is under way ends where it began.
  if (chosen == current_ || (working && under_way_)) return false;
  current_ = chosen;
  show();
  return current_ != nullptr;
}

std::size_t UplinkSink::batch_max() const { return current_ != nullptr ? current_->what.sink->batch_max() : 256; }

ingest::Priority UplinkSink::least() const {
  const bool metered = current_ != nullptr && current_->what.metered;
  return metered ? ingest::Priority::normal : ingest::Priority::bulk;
}

void UplinkSink::send(ingest::Batch batch, std::function<void(ingest::Sent)> done) {
  if (current_ == nullptr) {
    return done({.outcome = ingest::Sent::Outcome::again, .why = status().detail});
  }
  const std::uint64_t number = next_number_++;
  under_way_ = {number, clock_.steady() + timeout_, std::move(done)};
  current_->what.sink->send(std::move(batch), [this, number, alive = std::weak_ptr<bool>(alive_)](ingest::Sent sent) {
    if (!alive.expired()) answered(number, std::move(sent));
  });
}

void UplinkSink::answered(std::uint64_t number, ingest::Sent sent) {
  if (!under_way_ || under_way_->number != number) return;
  const auto done = std::move(under_way_->done);
  under_way_.reset();
  const bool failed = sent.outcome == ingest::Sent::Outcome::again;
  if (failed) fail(*current_, sent.why);
  choose();
  show();
  done(std::move(sent));
  // The outlet waits before it sends again, but there is another way.
  if (alive_ && failed && current_ != nullptr && told_) told_();
}

void UplinkSink::stop() {
  alive_.reset();
  timer_.reset();
  under_way_.reset();
  for (Link& link : links_) link.what.sink->stop();
  current_ = nullptr;
  std::lock_guard lock(status_mutex_);
  status_ = {.connected = false, .detail = "stopped"};
}

void UplinkSink::show() {
  ingest::Status shown{.connected = current_ != nullptr,
                       .detail = {},
                       .link = current_ != nullptr ? current_->what.name : std::string()};
  for (const Link& link : links_) {
    if (!shown.detail.empty()) shown.detail += "; ";
    shown.detail += link.what.name;
    shown.detail += &link == current_ ? " is in use" : link.usable ? " stands by" : " does not work: " + link.why;
  }
  std::lock_guard lock(status_mutex_);
  status_ = std::move(shown);
}

ingest::Status UplinkSink::status() const {
  ingest::Status result;
  {
    std::lock_guard lock(status_mutex_);
    result = status_;
  }
  for (const Link& link : links_) {
    const ingest::Status own = link.what.sink->status();
    result.messages += own.messages;
    result.dropped += own.dropped;
  }
  return result;
}

}  // namespace penstock::ext
