// Runs requests: short models on the caller's own loop, everything else on a few threads of its own.
//
// A version counts as short while its measured runs of that size take less than Options::inline_max on average, so a
// small model costs no thread switch and a large one never holds up a connection.
#pragma once

#include <functional>
#include <memory>
#include <mutex>

#include "infer/repository.h"
#include "infer/request.h"
#include "rt/loop.h"
#include "rt/pool.h"

namespace penstock::infer {

class Engine {
 public:
  struct Options {
    std::size_t threads = 2;      // for runs that are too long for a loop; started with the first of them
    std::size_t queue_max = 256;  // runs waiting for such a thread; more are refused with backpressure
    base::Duration inline_max = Repository::kShortRun;
  };
  using Done = std::function<void(Result<Response>)>;

  // `repository` outlives this.
  Engine(const Repository& repository, Options options) : repository_(repository), options_(options) {}
  // Finishes what is queued: loops with requests in flight must outlive this.
  ~Engine() = default;

  // On `loop`'s thread. `done` is called exactly once on it: before infer() returns when the answer is at hand (a
  // refusal, a short run), else later. After `deadline` a request that still waits is answered with deadline_exceeded;
  // a run that has begun is finished. Errors: not_found, invalid_argument, unavailable, backpressure,
  // deadline_exceeded, internal.
  void infer(rt::Loop& loop, Request request, base::SteadyTime deadline, Done done);

  // Runs on the calling thread whatever it takes, without queue or instance bound: for tools and tests.
  Result<Response> infer_here(Request request);

 private:
  struct Job;
  rt::Pool& pool();
  void offload(std::shared_ptr<Job> job);
  void start(std::shared_ptr<Job> job);
  void leave(Served& served);

  const Repository& repository_;
  const Options options_;
  std::once_flag pool_once_;
  std::unique_ptr<rt::Pool> pool_;
};

}  // namespace penstock::infer
