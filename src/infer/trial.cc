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

// What another version may do better: also a request that this one does not take, or has no time for.
bool worth_another(const Job& job, const Error& error) {
  if (error.code == Errc::invalid_argument || error.code == Errc::backpressure) return true;
  return job.ran && to_blame(error);
}

Outcome outcome_of(const Job& job, bool failed) {
  return {.version = job.served().number, .failed = failed, .total = base::system_clock().steady() - job.arrived};
}

}  // namespace

bool falls_back(Job& job, const Result<Response>& result) {
  if (result || !job.pick.fallback || job.original) return false;
  if (job.request.stop.stop_requested() || !worth_another(job, result.error())) return false;
  Watcher* watcher = watcher_of(job);
  if (job.ran && to_blame(result.error())) {
    if (watcher != nullptr) watcher->finished(outcome_of(job, true));
  } else if (result.error().code == Errc::invalid_argument) {
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
  if (result) {
    watcher->finished(outcome_of(job, false));
  } else if (job.ran && to_blame(result.error())) {
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
