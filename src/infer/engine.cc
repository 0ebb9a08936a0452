#include "infer/engine.h"

namespace penstock::infer {

// One request from arrival to answer.
struct Engine::Job {
  rt::Loop* loop = nullptr;
  std::shared_ptr<Served> served;
  Request request;
  std::vector<std::size_t> outputs;
  std::size_t elements = 0;
  base::SteadyTime arrived;
  base::SteadyTime deadline;
  Done done;

  Result<Response> run(bool inline_run, base::Duration inline_max);
  Result<Response> refuse(Error error) {
    served->stats.failed(base::system_clock().steady() - arrived);
    return std::unexpected(std::move(error));
  }
  // From a pool thread.
  void post(Result<Response> result) {
    auto carried = std::make_shared<std::pair<Done, Result<Response>>>(std::move(done), std::move(result));
    loop->post([carried] { carried->first(std::move(carried->second)); });
  }
};

Result<Response> Engine::Job::run(bool inline_run, base::Duration inline_max) {
  const base::Clock& clock = base::system_clock();
  base::SteadyTime start = clock.steady();
  if (start >= deadline) {
    return refuse(
        {Errc::deadline_exceeded, fmt::format("the deadline passed before model '{}' could run", served->name)});
  }
  auto tensors = served->model->run(request.inputs, outputs, {.stop = request.stop});
  base::SteadyTime end = clock.steady();
  if (!tensors) return refuse(std::move(tensors.error()));
  served->cost.record(elements, end - start, inline_max);
  std::uint64_t rows = 1;
  if (!request.inputs.empty() && !request.inputs.front().shape.empty()) {
    rows = static_cast<std::uint64_t>(request.inputs.front().shape.front());
  }
  served->stats.succeeded(start - arrived, end - start, end - arrived, rows, inline_run);
  return Response{.model = served->name,
                  .version = served->version,
                  .outputs = std::move(*tensors),
                  .queue = start - arrived,
                  .compute = end - start};
}

rt::Pool& Engine::pool() {
  std::call_once(pool_once_,
                 [this] { pool_ = std::make_unique<rt::Pool>("inference", options_.threads, options_.queue_max); });
  return *pool_;
}

void Engine::infer(rt::Loop& loop, Request request, base::SteadyTime deadline, Done done) {
  base::SteadyTime arrived = base::system_clock().steady();
  auto served = repository_.find(request.model, request.version);
  if (!served) return done(std::unexpected(std::move(served.error())));
  Job job{.loop = &loop,
          .served = std::move(*served),
          .request = std::move(request),
          .outputs = {},
          .elements = 0,
          .arrived = arrived,
          .deadline = deadline,
          .done = {}};
  auto outputs = match(job.served->model->info(), job.request);
  if (!outputs) return done(job.refuse(std::move(outputs.error())));
  job.outputs = std::move(*outputs);
  for (const Tensor& tensor : job.request.inputs) job.elements += tensor.elements();
  Served& target = *job.served;
  if (target.cost.shorter_than(options_.inline_max, job.elements) && target.gate.try_enter()) {
    auto result = job.run(true, options_.inline_max);
    leave(target);
    return done(std::move(result));
  }
  job.done = std::move(done);
  offload(std::make_shared<Job>(std::move(job)));
}

// Takes a place at the gate or waits for one.
void Engine::offload(std::shared_ptr<Job> job) {
  Served& served = *job->served;
  if (served.gate.try_enter()) return start(std::move(job));
  Gate::Work work = [this, job] { start(job); };
  bool entered = false;
  if (!served.gate.wait(work, entered)) {
    auto refusal =
        job->refuse({Errc::backpressure, fmt::format("model '{}' is overloaded: {} requests wait for its {}",
                                                     served.name, served.config->queue.max, "instances; try again")});
    return job->done(std::move(refusal));
  }
  if (entered) work();
}

// Holds a place at the gate; gives it back when the run is over or refused. Runs on the request's loop or, for one that
// waited, on the thread that gave its place.
void Engine::start(std::shared_ptr<Job> job) {
  rt::Pool::Work work = [this, job] {
    // Before the answer: whoever hears it may ask again at once and finds the place free.
    auto result = job->run(false, options_.inline_max);
    leave(*job->served);
    job->post(std::move(result));
  };
  auto submitted = pool().submit(std::move(work));
  if (submitted) return;
  auto refusal = job->refuse(std::move(submitted.error()));
  leave(*job->served);
  if (job->loop->on_this_thread()) return job->done(std::move(refusal));
  job->post(std::move(refusal));
}

void Engine::leave(Served& served) {
  if (auto next = served.gate.leave()) (*next)();
}

Result<Response> Engine::infer_here(Request request) {
  auto served = repository_.find(request.model, request.version);
  if (!served) return std::unexpected(std::move(served.error()));
  Job job{.loop = nullptr,
          .served = std::move(*served),
          .request = std::move(request),
          .outputs = {},
          .elements = 0,
          .arrived = base::system_clock().steady(),
          .deadline = base::SteadyTime::max(),
          .done = {}};
  auto outputs = match(job.served->model->info(), job.request);
  if (!outputs) return job.refuse(std::move(outputs.error()));
  job.outputs = std::move(*outputs);
  for (const Tensor& tensor : job.request.inputs) job.elements += tensor.elements();
  return job.run(false, options_.inline_max);
}

}  // namespace penstock::infer
