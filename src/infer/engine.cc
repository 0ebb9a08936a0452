#include "infer/engine.h"

#include <thread>

#include "infer/execution.h"
#include "infer/trial.h"

namespace penstock::infer {
namespace {

base::SteadyTime now() { return base::system_clock().steady(); }

Scheduler::Options scheduling(const Engine::Options& options) {
  std::size_t cores = std::max(1U, std::thread::hardware_concurrency());
  return {.threads = options.threads == 0 ? cores : options.threads,
          .queue_max = std::max<std::size_t>(options.queue_max, 1),
          .saver = options.power_saver,
          .inline_max = options.inline_max};
}

// Checks the request against the version that is to run it.
Result<void> fit(Job& job) {
  Served& served = job.served();
  auto outputs = match(served.model->info(), job.request);
  if (!outputs) return std::unexpected(std::move(outputs.error()));
  job.outputs = std::move(*outputs);
  job.rows = rows_of(job.request);
  job.elements = 0;
  for (const Tensor& tensor : job.request.inputs) job.elements += tensor.elements();
  std::size_t most = served.config->batch.max;
  if (job.rows > most && served.joins.load(std::memory_order_relaxed)) {
    return fail(
        Errc::invalid_argument,
        fmt::format("{} rows are more than the {} that model '{}' takes in one run: split the request, or raise "
                    "`max` under its `batch`",
                    job.rows, most, served.name));
  }
  return {};
}

// On the loop: what belongs to it ends here, whoever else still holds the task.
void answer(Task& task) {
  task.timer.reset();
  task.on_stop.reset();
  Job::Done done = std::move(task.job.done);
  done(std::move(task.result));
}

// One wake-up for each loop.
void answer(std::vector<TaskPtr> tasks) {
  while (!tasks.empty()) {
    rt::Loop* loop = tasks.front()->job.loop;
    auto here = std::make_shared<std::vector<TaskPtr>>();
    std::vector<TaskPtr> others;
    for (TaskPtr& task : tasks) (task->job.loop == loop ? *here : others).push_back(std::move(task));
    loop->post([here] {
      for (const TaskPtr& task : *here) answer(*task);
    });
    tasks = std::move(others);
  }
}

// A request whose model is being loaded. Everything on its loop; `done` is empty once it was answered.
struct Waiting {
  Request request = {};
  Engine::Done done = {};
  std::optional<std::stop_callback<std::function<void()>>> on_stop = {};
};

void answer(Waiting& waiting, Error error) {
  waiting.on_stop.reset();
  Engine::Done done = std::exchange(waiting.done, nullptr);
  done(std::unexpected(std::move(error)));
}

// Its place in the queue of the version that is to run it.
void plan(Task& task, base::Duration wait, bool alone) {
  const Job& job = task.job;
  const Served& served = job.served();
  const QueueConfig& queue = served.config->queue;
  std::uint32_t priority = job.request.priority;
  if (priority < 1 || priority > queue.priorities) priority = queue.default_priority;
  task.turn = {.rank = job.original ? Turn::Rank::shadow : Turn::Rank::normal,
               .due = job.arrived + (priority - 1) * Lane::kPatience,
               .number = 0};
  task.entered = now();
  task.signature.clear();
  if (served.joins.load(std::memory_order_relaxed)) task.signature = batch_signature(job.request, job.outputs);
  task.hold = alone ? task.entered : task.entered + wait;
}

// A request may ask for less time in the queue than the model's, not for more. The time that a version on trial wasted
// is not taken from the fallback's.
void limit_wait(Task& task) {
  const Job& job = task.job;
  const QueueConfig& queue = job.served().config->queue;
  base::Duration timeout = queue.timeout;
  base::Duration own = queue.allow_timeout ? job.request.timeout : base::Duration{};
  if (own.count() > 0 && (timeout.count() == 0 || own < timeout)) timeout = own;
  task.expires = job.deadline;
  task.delayed_at = base::SteadyTime::max();
  if (timeout.count() == 0 || job.tried) return;
  base::SteadyTime at = job.arrived + timeout;
  if (queue.delay) {
    task.delayed_at = at;
  } else {
    task.expires = std::min(job.deadline, at);
  }
}

}  // namespace

Engine::Options Engine::options_of(const InferenceConfig& inference) {
  return {.threads = inference.threads,
          .queue_max = inference.queue_max,
          .inline_max = Repository::kShortRun,
          .power_saver = inference.power_saver};
}

Engine::Engine(Repository& repository, Options options)
    : repository_(repository),
      inline_max_(options.inline_max),
      scheduler_(scheduling(options), [this](std::vector<TaskPtr> tasks) { settle(std::move(tasks)); }) {}

void Engine::change(Options options) {
  options.inline_max = inline_max_;
  scheduler_.change(scheduling(options));
}

void Engine::infer(rt::Loop& loop, Request request, base::SteadyTime deadline, Done done) {
  auto picked = repository_.pick(request);
  if (!picked) return when_loaded(loop, std::move(request), deadline, std::move(done), std::move(picked.error()));
  infer(loop, std::move(*picked), std::move(request), deadline, std::move(done));
}

void Engine::infer(rt::Loop& loop, Pick pick, Request request, base::SteadyTime deadline, Done done) {
  begin({.loop = &loop,
         .pick = std::move(pick),
         .request = std::move(request),
         .arrived = now(),
         .arrived_wall = base::system_clock().wall(),
         .deadline = deadline,
         .done = std::move(done)});
}

// The model may come on demand.
void Engine::when_loaded(rt::Loop& loop, Request request, base::SteadyTime deadline, Done done, Error why) {
  if (why.code != Errc::unavailable) return done(std::unexpected(std::move(why)));
  auto waiting = std::make_shared<Waiting>();
  waiting->request = std::move(request);
  waiting->done = std::move(done);
  auto loaded = [this, &loop, waiting, deadline](Result<void> there) {
    if (!waiting->done) return;
    if (!there) return answer(*waiting, std::move(there.error()));
    auto picked = repository_.pick(waiting->request);
    if (!picked) return answer(*waiting, std::move(picked.error()));
    waiting->on_stop.reset();
    infer(loop, std::move(*picked), std::move(waiting->request), deadline, std::exchange(waiting->done, nullptr));
  };
  if (!repository_.when_loaded(loop, waiting->request, deadline, std::move(loaded)))
    return answer(*waiting, std::move(why));
  const std::stop_token& stop = waiting->request.stop;
  if (!stop.stop_possible()) return;
  waiting->on_stop.emplace(stop, [&loop, given_up = std::weak_ptr<Waiting>(waiting)] {
    loop.post([given_up] {
      auto left = given_up.lock();
      if (left && left->done) answer(*left, {Errc::cancelled, "nobody waits for the answer any more"});
    });
  });
}

void Engine::begin(Job job) {
  Result<Response> result;
  if (job.pick.traffic) announce(job);
  for (;;) {
    Served& served = job.served();
    served.last_used.store(job.arrived_wall, std::memory_order_relaxed);
    bool alone = true;
    if (auto fitting = fit(job); !fitting) {
      result = std::unexpected(note_failure(job, std::move(fitting.error()), Failure::invalid));
    } else if (runs_here(job, alone)) {
      result = run_here(job);
    } else {
      return enqueue(std::move(job), alone);
    }
    if (!falls_back(job, result)) break;
  }
  conclude(job, result);
  job.done(std::move(result));
}

// Whether it is short and nothing is in its way; then it has a place. `alone`: waiting for company would be in vain.
bool Engine::runs_here(Job& job, bool& alone) const {
  Served& served = job.served();
  bool waits = served.stats.pending() > 0;
  if (served.joins.load(std::memory_order_relaxed)) {
    bool others = waits || served.places.inside() > 0;
    alone = served.company.alone(job.loop->now(), job.arrived, others, scheduler_.wait_of(served));
    waits = waits || !alone;
  }
  // The process of an isolated model may hang: it is never waited for on a loop.
  if (waits || served.config->runtime.isolate || !served.cost.shorter_than(inline_max_, job.elements)) return false;
  return !served.counts || served.places.try_enter(served.config->instances.min);
}

Result<Response> Engine::run_here(Job& job) {
  Served& served = job.served();
  auto result = execute(job, job.arrived, inline_max_, true);
  if (served.counts) {
    served.places.leave();
    scheduler_.freed(served);
  }
  return result;
}

void Engine::enqueue(Job job, bool alone) {
  auto task = std::make_shared<Task>(std::move(job));
  limit_wait(*task);
  auto submitted = submit(task, alone);
  if (submitted) return watch(*task);
  Job& refused = task->job;
  Result<Response> result = std::unexpected(note_failure(refused, std::move(submitted.error()), Failure::rejected));
  if (falls_back(refused, result)) return begin(std::move(refused));
  conclude(refused, result);
  refused.done(std::move(result));
}

Result<void> Engine::submit(const TaskPtr& task, bool alone) {
  plan(*task, scheduler_.wait_of(task->job.served()), alone);
  return scheduler_.submit(task);
}

// On the task's loop, which is where it is answered: it cannot go away before this returns.
void Engine::watch(Task& task) {
  arm(task, std::min(task.expires.load(), task.delayed_at.load()));
  const std::stop_token& stop = task.job.request.stop;
  if (!stop.stop_possible()) return;
  task.on_stop.emplace(stop, [this, &task] {
    // Once it is over the engine may be gone.
    if (task.state.load() == Task::State::over) return;
    TaskPtr waited = scheduler_.abandon(task);
    if (!waited) return;
    end_with(std::move(waited), cancelled(task.job));
  });
}

void Engine::arm(Task& task, base::SteadyTime at) {
  if (at == base::SteadyTime::max()) return;
  if (!task.timer) task.timer.emplace(*task.job.loop);
  task.timer->arm_at(at, [this, &task] { on_timer(task); });
}

void Engine::on_timer(Task& task) {
  if (task.state.load() == Task::State::over) return;
  base::SteadyTime at = now();
  if (at < task.expires.load()) {
    if (at >= task.delayed_at.load()) scheduler_.delay(task);
    return arm(task, task.expires);
  }
  TaskPtr waited = scheduler_.withdraw(task);
  if (!waited) {
    // It runs, and may have to wait for the fallback yet.
    if (at < task.job.deadline) arm(task, task.job.deadline);
    return;
  }
  Error error = too_late(task.job);
  task.result = std::unexpected(error);
  if (falls_back(task.job, task.result) && try_again(waited)) return arm(task, task.expires);
  end_with(std::move(waited), std::move(error));
}

// Answers a task that waits no more and did not run.
void Engine::end_with(TaskPtr task, Error error) {
  task->result = std::unexpected(std::move(error));
  conclude(task->job, task->result);
  std::vector<TaskPtr> one;
  one.push_back(std::move(task));
  answer(std::move(one));
}

// On an inference thread.
void Engine::settle(std::vector<TaskPtr> tasks) {
  std::vector<TaskPtr> answered;
  for (TaskPtr& task : tasks) {
    if (falls_back(task->job, task->result) && try_again(task)) {
      task.reset();
      continue;
    }
    conclude(task->job, task->result);
    if (task->job.loop != nullptr) answered.push_back(std::move(task));
  }
  answer(std::move(answered));
}

// Gives it to the version it fell back to. False when that one does not take it; the first failure is the answer then.
bool Engine::try_again(const TaskPtr& task) {
  if (!fit(task->job)) return false;
  limit_wait(*task);
  task->job.served().last_used.store(task->job.arrived_wall, std::memory_order_relaxed);
  return submit(task, true).has_value();
}

// Tells the watcher, and gives the shadow its turn. After that the job has no inputs any more, nor traffic: a loop that
// was stopped may keep it for longer than what the traffic writes to lives.
void Engine::conclude(Job& job, Result<Response>& result) {
  if (!job.pick.traffic) return;
  report(job, result);
  auto shadow = shadow_of(job, result);
  job.pick.traffic.reset();
  if (!shadow || !fit(*shadow)) return;
  auto task = std::make_shared<Task>(std::move(*shadow));
  // Dropped where there is no time for it.
  (void)submit(task, true);
}

Result<Response> Engine::infer_here(Request request) {
  auto served = repository_.find(request.model, request.version);
  if (!served) return std::unexpected(std::move(served.error()));
  const base::Clock& clock = base::system_clock();
  Job job{.request = std::move(request), .arrived = clock.steady(), .arrived_wall = clock.wall()};
  job.pick.served = std::move(*served);
  if (auto fitting = fit(job); !fitting) {
    return std::unexpected(note_failure(job, std::move(fitting.error()), Failure::invalid));
  }
  return execute(job, job.arrived, inline_max_, false);
}

}  // namespace penstock::infer
