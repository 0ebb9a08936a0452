#include "infer/trial.h"

namespace penstock::infer {
namespace {

Watcher* watcher_of(const Job& job) { return job.pick.traffic ? job.pick.traffic->watcher() : nullptr; }

// Of a run: what came over the version, not over the request.
bool to_blame(const Error& error) {
  switch (error.code) {
    case Errc::internal:
    case Errc::data_loss:
    case Errc::unavailable:
    case Errc::resource_exhausted:
    case Errc::deadline_exceeded: return true;
    default: return false;
  }
}

base::SteadyTime now() { return base::system_clock().steady(); }

// What another version may do better: also a request that this one does not take, or has no time for.
bool worth_another(const Job& job, const Error& error) {
  if (error.code == Errc::invalid_argument || error.code == Errc::backpressure) return true;
  if (error.code == Errc::deadline_exceeded && !job.ran) return now() < job.deadline;  // its queue's timeout
  return job.ran && to_blame(error);
}

// Of a request that did not run: whether another version that takes it shows that this one should have. The queue of
// all versions may be full for any of them.
bool doubtful(const Job& job, const Error& error) {
  const Served& served = job.served();
  return error.code != Errc::backpressure || served.stats.pending() >= served.config->queue.max;
}

Outcome outcome_of(const Job& job, bool failed, bool given_up = false) {
  return {.version = job.served().number, .failed = failed, .given_up = given_up, .total = now() - job.arrived};
}

void end(Job& job) {
  if (!std::exchange(job.under_way, false)) return;
  if (Watcher* watcher = watcher_of(job)) watcher->ended(job.served().number, job.arrived);
}

}  // namespace

void announce(Job& job) {
  if (job.under_way || job.tried || job.original) return;
  Watcher* watcher = watcher_of(job);
  if (watcher == nullptr) return;
  job.under_way = true;
  watcher->began(job.served().number, job.arrived);
}

bool falls_back(Job& job, const Result<Response>& result) {
  if (result || !job.pick.fallback || job.original) return false;
  if (job.request.stop.stop_requested() || !worth_another(job, result.error())) return false;
  end(job);
  if (job.ran && to_blame(result.error())) {
    if (Watcher* watcher = watcher_of(job)) watcher->finished(outcome_of(job, true));
  } else if (doubtful(job, result.error())) {
    job.doubted = outcome_of(job, true);
  }
  job.pick.served = std::move(job.pick.fallback);
  job.pick.fallback = nullptr;
  job.pick.shadow = nullptr;
  job.tried = true;
  job.ran = false;
  return true;
}

void report(Job& job, const Result<Response>& result) {
  Watcher* watcher = watcher_of(job);
  if (watcher == nullptr) return;
  if (job.original) {
    watcher->compared(job.original->version, job.original->response, job.served().number, result);
    return;
  }
  if (job.tried) {
    // The request was good where the fallback took it: then the version on trial should have.
    if (job.doubted && result) watcher->finished(*job.doubted);
    return;
  }
  end(job);
  if (result) return watcher->finished(outcome_of(job, false));
  Errc code = result.error().code;
  if (code == Errc::cancelled || job.request.stop.stop_requested()) {
    watcher->finished(outcome_of(job, false, true));
  } else if (code == Errc::deadline_exceeded || (job.ran && to_blame(result.error()))) {
    watcher->finished(outcome_of(job, true));
  }
}

std::optional<Job> shadow_of(Job& job, const Result<Response>& result) {
  if (!result || !job.pick.shadow || watcher_of(job) == nullptr || job.original) return std::nullopt;
  const base::Clock& clock = base::system_clock();
  Job shadow{.request = {.model = std::move(job.request.model), .inputs = std::move(job.request.inputs)},
             .arrived = clock.steady(),
             .arrived_wall = clock.wall()};
  shadow.request.outputs = std::move(job.request.outputs);
  shadow.pick.served = std::move(job.pick.shadow);
  shadow.pick.traffic = job.pick.traffic;
  shadow.original = std::make_shared<Original>(Original{.version = job.served().number, .response = *result});
  return shadow;
}

}  // namespace penstock::infer
