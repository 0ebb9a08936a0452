// Loads that requests wait for, and looking at the folders for what changed.
#include <pthread.h>

#include <optional>
#include <stop_token>

#include "infer/repository.h"

namespace penstock::infer {
namespace {

// Between two tries of a load on demand that fails; doubled with each.
constexpr base::Duration kRetryFirst = std::chrono::seconds(1);
constexpr unsigned kRetryDoubled = 6;      // a minute at most
constexpr std::size_t kDemandsMax = 1024;  // models that wait for the one thread

}  // namespace

// A request that waits; everything in it belongs to its loop.
struct Repository::Waiter {
  Waiter(rt::Loop& home, std::function<void(Result<void>)> answer) : loop(home), timer(home), done(std::move(answer)) {}
  rt::Loop& loop;
  rt::Timer timer;
  std::function<void(Result<void>)> done;
  std::optional<std::stop_callback<std::function<void()>>> stopped;
  std::atomic<bool> queued{true};  // counted in waiters_; changed with demand_mutex_ held, while the repository lives

  void answer(Result<void> result) {
    timer.cancel();
    stopped.reset();
    if (auto call = std::exchange(done, nullptr)) call(std::move(result));
  }
};

bool Repository::when_loaded(rt::Loop& loop, const Request& request, base::SteadyTime deadline,
                             std::function<void(Result<void>)> done) {
  auto found = entry(request.model);
  if (!found || found->unloaded) return false;
  if (!found->ready.empty()) {
    // Loaded since pick() looked, when it names no version that is not.
    if (!request.version.empty()) return false;
    loop.post([done = std::move(done)] { done({}); });
    return true;
  }
  base::SteadyTime now = base::system_clock().steady();
  if (!found->dormant || stopping_.load() || now < found->retry_at) return false;
  auto waiter = std::make_shared<Waiter>(loop, std::move(done));
  {
    std::lock_guard lock(demand_mutex_);
    if (waiters_ >= kWaitersMax) {
      loop.post([waiter] {
        waiter->answer(fail(Errc::backpressure, "too many requests wait for models to be loaded; try again"));
      });
      return true;
    }
    // The list stays, even when all in it gave up, for as long as the load that it stands for.
    auto [queue, is_first] = waiting_.try_emplace(request.model);
    queue->second.push_back(waiter);
    ++waiters_;
    if (is_first) {
      if (!demanded_) demanded_ = std::make_unique<rt::Pool>("model loader", 1, kDemandsMax);
      auto submitted = demanded_->submit([this, name = request.model] { load_demanded(name); });
      if (!submitted) {
        waiting_.erase(queue);
        waiter->queued.store(false);
        --waiters_;
        loop.post([waiter, error = submitted.error()] { waiter->answer(std::unexpected(error)); });
        return true;
      }
    }
  }
  base::Duration patience = found->config->residence.load_timeout;
  waiter->timer.arm_at(std::min(deadline, now + patience), [this, weak = std::weak_ptr(waiter), name = request.model] {
    auto waiting = weak.lock();
    if (!waiting) return;
    give_up(name, waiting,
            {Errc::deadline_exceeded,
             fmt::format("model '{}' was still being loaded when the time was up; try again", name)});
  });
  if (request.stop.stop_possible()) {
    waiter->stopped.emplace(request.stop, [this, &loop, weak = std::weak_ptr(waiter), name = request.model] {
      loop.post([this, weak, name] {
        auto waiting = weak.lock();
        if (waiting) give_up(name, waiting, {Errc::cancelled, "nobody waits for the answer any more"});
      });
    });
  }
  return true;
}

// On the waiter's loop. Its place is free for another.
void Repository::give_up(const std::string& name, const std::shared_ptr<Waiter>& waiter, Error error) {
  if (waiter->queued.load()) {
    std::lock_guard lock(demand_mutex_);
    if (waiter->queued.exchange(false)) {
      std::erase(waiting_.at(name), waiter);
      --waiters_;
    }
  }
  waiter->answer(std::unexpected(std::move(error)));
}

void Repository::forget_waiters() {
  std::lock_guard lock(demand_mutex_);
  for (auto& [name, queue] : waiting_) {
    for (const auto& waiter : queue) waiter->queued.store(false);
  }
  waiting_.clear();
  waiters_ = 0;
}

void Repository::load_demanded(const std::string& name) {
  Result<void> result = load_now(name);
  std::vector<std::shared_ptr<Waiter>> waiters;
  {
    std::lock_guard lock(demand_mutex_);
    auto queue = waiting_.extract(name);
    if (!queue.empty()) waiters = std::move(queue.mapped());
    waiters_ -= waiters.size();
    for (const auto& waiter : waiters) waiter->queued.store(false);
  }
  for (std::shared_ptr<Waiter>& waiter : waiters) {
    rt::Loop& loop = waiter->loop;
    // The last reference ends on the loop, where the timer lives.
    loop.post([waiter = std::move(waiter), result] { waiter->answer(result); });
  }
}

Result<void> Repository::load_now(const std::string& name) {
  std::lock_guard lock(loading_);
  Reaper::Here here;
  auto before = entry(name);
  if (stopping_.load()) return fail(Errc::unavailable, "the gateway is being stopped");
  if (!before) return fail(Errc::not_found, fmt::format("unknown model '{}'", name));
  if (!before->ready.empty()) return {};
  if (before->unloaded) return fail(Errc::unavailable, fmt::format("model '{}' is unloaded", name));
  // Whoever came while the last try failed.
  if (base::system_clock().steady() < before->retry_at)
    return fail(Errc::unavailable, fmt::format("model '{}' could not be loaded: {}", name, before->why()));
  unsigned failures = before->failures + 1;
  auto declared = before->declared;
  before.reset();
  Build result = build(*declared, {"a request", ""}, true);
  if (!result.entry->ready.empty()) return {};
  auto next = std::make_shared<ModelEntry>(*result.entry);
  next->failures = failures;
  base::Duration pause = kRetryFirst * (1 << std::min(failures - 1, kRetryDoubled));
  next->retry_at = base::system_clock().steady() + pause;
  publish(name, std::move(next));
  return fail(result.full ? Errc::resource_exhausted : Errc::unavailable,
              fmt::format("model '{}' could not be loaded: {}", name, result.failure));
}

void Repository::watch() {
  pthread_setname_np(pthread_self(), "model watch");
  std::unique_lock lock(watch_mutex_);
  while (!stopping_.load()) {
    base::Duration every = watch_every_;
    auto woken = [&] { return stopping_.load() || watch_every_ != every; };
    if (every == base::Duration::zero()) {
      watch_changed_.wait(lock, woken);
      continue;
    }
    if (watch_changed_.wait_for(lock, every, woken)) continue;
    lock.unlock();
    look();
    lock.lock();
  }
}

// A folder is read again when it looked otherwise than when it was read, and alike twice in a row.
void Repository::look() {
  struct Seen {
    std::string name;
    std::shared_ptr<const ModelConfig> declared;
    std::uint64_t sight;
  };
  std::vector<Seen> all;
  {
    auto entries = entries_.read();
    for (const auto& [name, entry] : *entries) {
      if (!entry->unloaded && !entry->by_request) all.push_back({name, entry->declared, entry->sight});
    }
  }
  std::map<std::string, std::uint64_t> changing;
  for (const Seen& seen : all) {
    std::uint64_t sight = sight_of(registry_, seen.declared->path);
    if (sight == seen.sight) continue;
    auto last = changing_.find(seen.name);
    if (last == changing_.end() || last->second != sight) {
      changing[seen.name] = sight;
      continue;
    }
    std::lock_guard lock(loading_);
    Reaper::Here here;
    auto now = entry(seen.name);
    bool same = now && now->declared == seen.declared && now->sight == seen.sight && !now->unloaded;
    now.reset();
    if (same && !stopping_.load()) build(*seen.declared, {"configuration", "its folder changed"}, false);
  }
  changing_ = std::move(changing);
}

}  // namespace penstock::infer
