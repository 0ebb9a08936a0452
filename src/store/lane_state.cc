#include "store/lane_state.h"

#include <pthread.h>
#include <unistd.h>

#include <future>

namespace penstock::store {
namespace {

constexpr auto kTryAgainAfter = std::chrono::seconds(1);
// What nobody waits for is gathered for so long before it is written: a commit is a flush of the disk, and alarms that
// come one by one would each have their own.
constexpr auto kGather = std::chrono::milliseconds(50);

}  // namespace

Result<void> LaneState::load() {
  if (::access(LaneDatabase::file_in(dir_).c_str(), F_OK) != 0) return {};
  auto database = LaneDatabase::open(dir_);
  if (!database) return std::unexpected(database.error());
  auto values = database->values();
  if (!values) return std::unexpected(values.error());
  std::lock_guard lock(mutex_);
  for (auto& [key, value] : *values) values_.try_emplace(std::move(key), std::move(value));
  return {};
}

std::optional<std::string> LaneState::get(const std::string& key) const {
  std::lock_guard lock(mutex_);
  auto found = values_.find(key);
  return found == values_.end() ? std::nullopt : std::optional(found->second);
}

std::vector<std::pair<std::string, std::string>> LaneState::entries(const std::string& prefix) const {
  std::lock_guard lock(mutex_);
  std::vector<std::pair<std::string, std::string>> found;
  for (auto at = values_.lower_bound(prefix); at != values_.end() && at->first.starts_with(prefix); ++at)
    found.push_back(*at);
  return found;
}

void LaneState::put(std::string key, std::string value, Kept kept) {
  if (key.size() > kKeyBytesMax || value.size() > kValueBytesMax) {
    if (kept) kept(fail(Errc::resource_exhausted, "what is to be remembered over a restart is too large"));
    return;
  }
  change(std::move(key), std::move(value), std::move(kept));
}

void LaneState::erase(const std::string& key) { change(key, std::nullopt, {}); }

void LaneState::change(std::string key, std::optional<std::string> value, Kept kept) {
  Result<void> refused;
  bool wake = false;
  {
    std::lock_guard lock(mutex_);
    if (closing_) {
      refused = fail(Errc::unavailable, "the gateway stops");
    } else if (value && values_.size() >= kKeysMax && !values_.contains(key)) {
      refused = fail(Errc::resource_exhausted,
                     fmt::format("{} values are remembered over a restart already; that is the most", kKeysMax));
    } else {
      if (!value && values_.erase(key) == 0) return;
      if (value) values_.insert_or_assign(key, *value);
      wake = waiting_.empty() || kept || retry_;
      waiting_.changes.insert_or_assign(std::move(key), std::move(value));
      if (kept) waiting_.kept.push_back(std::move(kept));
      retry_ = false;
      start_writer();
    }
  }
  if (!refused && kept) kept(refused);
  if (wake) wake_.notify_all();
}

void LaneState::append(LaneEvent event) {
  bool wake = false;
  {
    std::lock_guard lock(mutex_);
    if (closing_) return;
    if (waiting_.events.size() >= kEventsWaitingMax) {
      waiting_.events.erase(waiting_.events.begin());
      ++events_lost_;
    }
    wake = waiting_.empty();
    waiting_.events.push_back(std::move(event));
    start_writer();
  }
  if (wake) wake_.notify_all();
}

Result<std::vector<LaneEvent>> LaneState::events(const LaneEventFilter& filter) {
  if (auto written = flush(); !written) return std::unexpected(written.error());
  if (::access(LaneDatabase::file_in(dir_).c_str(), F_OK) != 0) return std::vector<LaneEvent>();
  auto database = LaneDatabase::open(dir_);
  if (!database) return std::unexpected(database.error());
  return database->events(filter);
}

Result<void> LaneState::flush() {
  std::promise<Result<void>> done;
  std::future<Result<void>> reached = done.get_future();
  {
    std::lock_guard lock(mutex_);
    bool idle = waiting_.empty() && !writing_;
    if (idle) return {};
    if (closing_) return fail(Errc::unavailable, "the gateway stops");
    if (!writer_.joinable()) return {};
    waiting_.kept.emplace_back([&done](Result<void> result) { done.set_value(std::move(result)); });
    retry_ = false;
  }
  wake_.notify_all();
  return reached.get();
}

std::uint64_t LaneState::events_lost() const {
  std::lock_guard lock(mutex_);
  return events_lost_;
}

void LaneState::close() {
  std::thread writer;
  {
    std::lock_guard lock(mutex_);
    closing_ = true;
    writer = std::move(writer_);
  }
  wake_.notify_all();
  if (writer.joinable()) writer.join();
}

void LaneState::start_writer() {
  if (!writer_.joinable()) writer_ = std::thread([this] { serve(); });
}

void LaneState::serve() {
  pthread_setname_np(pthread_self(), "lane memory");
  auto written_at = std::chrono::steady_clock::now() - kGather;
  std::unique_lock lock(mutex_);
  while (true) {
    auto ready = [this] { return closing_ || (!waiting_.empty() && !retry_); };
    if (retry_) {
      wake_.wait_for(lock, kTryAgainAfter, ready);
    } else {
      wake_.wait(lock, ready);
    }
    if (waiting_.empty() && closing_) return;
    wake_.wait_until(lock, written_at + kGather, [this] { return closing_ || !waiting_.kept.empty(); });
    Work work = std::exchange(waiting_, {});
    writing_ = true;
    lock.unlock();
    Result<void> written = write(work);
    tell(written);
    for (Kept& kept : work.kept) kept(written);
    work.kept.clear();
    written_at = std::chrono::steady_clock::now();
    lock.lock();
    writing_ = false;
    retry_ = !written;
    if (written) continue;
    put_back(std::move(work));
    if (!closing_) continue;
    // Who waits for what came meanwhile is told: nobody tries again.
    std::vector<Kept> left = std::exchange(waiting_.kept, {});
    lock.unlock();
    for (Kept& kept : left) kept(written);
    return;
  }
}

Result<void> LaneState::write(const Work& work) {
  if (!database_) {
    auto opened = LaneDatabase::open(dir_);
    if (!opened) return std::unexpected(opened.error());
    database_.emplace(std::move(*opened));
  }
  return database_->apply({work.changes.begin(), work.changes.end()}, work.events);
}

// What was put meanwhile is newer.
void LaneState::put_back(Work work) {
  waiting_.changes.merge(work.changes);
  work.events.insert(work.events.end(), std::make_move_iterator(waiting_.events.begin()),
                     std::make_move_iterator(waiting_.events.end()));
  std::size_t beyond = work.events.size() > kEventsWaitingMax ? work.events.size() - kEventsWaitingMax : 0;
  work.events.erase(work.events.begin(), work.events.begin() + static_cast<std::ptrdiff_t>(beyond));
  events_lost_ += beyond;
  waiting_.events = std::move(work.events);
}

void LaneState::tell(const Result<void>& written) {
  if (written.has_value() != failing_) return;
  failing_ = !written;
  if (trouble_) trouble_(written ? nullptr : &written.error());
}

}  // namespace penstock::store
