// Runs requests: short models on the caller's own loop, everything else on a few threads of its own, put together where
// the model's configuration says so (lane.h, scheduler.h).
//
// A version counts as short while its measured runs of that size take less than Options::inline_max on average, so a
// small model costs no thread switch and a large one never holds up a connection.
#pragma once

#include <functional>
#include <memory>

#include "infer/repository.h"
#include "infer/request.h"
#include "infer/scheduler.h"
#include "rt/loop.h"

namespace penstock::infer {

class Engine {
 public:
  struct Options {
    std::size_t threads = 2;      // for runs that are too long for a loop; started with the first of them; 0: the cores
    std::size_t queue_max = 256;  // requests waiting for such a thread, of all models; more are refused
    base::Duration inline_max = Repository::kShortRun;
    bool power_saver = false;  // one thread, and batches wait longer for company
  };
  using Done = Job::Done;

  // What `inference:` says.
  static Options options_of(const InferenceConfig& inference);

  // `repository` outlives this; no other Engine serves what is in it.
  Engine(Repository& repository, Options options);
  // Finishes what is queued: loops with requests in flight must outlive this.
  ~Engine() = default;

  // Threads, queue and power from now on; what runs, runs on. Any thread.
  void change(Options options);

  // On `loop`'s thread. `done` is called exactly once on it: before infer() returns when the answer is at hand (a
  // refusal, a short run), else later. After `deadline` a request that still waits is answered with deadline_exceeded;
  // a run that has begun is finished. When `request.stop` is asked to stop (on any thread), a request that waits is
  // answered with cancelled at once, and a run that nobody else waits for is stopped where the runtime can. A version
  // on trial whose fault a failure is does not answer with it: the request goes to the fallback of its Pick. Errors:
  // not_found, invalid_argument, unavailable, backpressure, deadline_exceeded, cancelled, internal, and what the
  // runtime says.
  void infer(rt::Loop& loop, Request request, base::SteadyTime deadline, Done done);
  // The same for a version that was picked already.
  void infer(rt::Loop& loop, Pick pick, Request request, base::SteadyTime deadline, Done done);

  // Runs on the calling thread whatever it takes, without queue or instance bound: for tools and tests.
  Result<Response> infer_here(Request request);

 private:
  void when_loaded(rt::Loop& loop, Request request, base::SteadyTime deadline, Done done, Error why);
  void begin(Job job);
  bool runs_here(Job& job, bool& alone) const;
  Result<Response> run_here(Job& job);
  void enqueue(Job job, bool alone);
  Result<void> submit(const TaskPtr& task, bool alone);
  void watch(Task& task);
  void arm(Task& task, base::SteadyTime at);
  void on_timer(Task& task);
  void end_with(TaskPtr task, Error error);
  void settle(std::vector<TaskPtr> tasks);
  bool try_again(const TaskPtr& task);
  void conclude(Job& job, Result<Response>& result);

  Repository& repository_;
  const base::Duration inline_max_;
  Scheduler scheduler_;
};

}  // namespace penstock::infer
