#include "infer/execution.h"

#include "infer/batch.h"

namespace penstock::infer {
namespace {

// After so many joined runs in a row that were in vain, none is tried any more.
constexpr std::uint32_t kVainJoinsMax = 3;

base::SteadyTime now() { return base::system_clock().steady(); }

Failure kind_of(Errc code) {
  if (code == Errc::invalid_argument) return Failure::invalid;
  return code == Errc::cancelled ? Failure::cancelled : Failure::runtime;
}

// A runtime that throws is a runtime that failed.
Result<std::vector<Tensor>> run(const Served& served, std::span<const Tensor> inputs,
                                std::span<const std::size_t> outputs, const std::stop_token& stop) {
  try {
    return served.model->run(inputs, outputs, {.stop = stop, .shrink = served.config->runtime.shrink});
  } catch (const std::bad_alloc&) {
    return fail(Errc::resource_exhausted, fmt::format("no memory to run model '{}'", served.name));
  } catch (const std::exception& problem) {
    return fail(Errc::internal, fmt::format("model '{}' failed: {}", served.name, problem.what()));
  }
}

Response answer(const Job& job, std::vector<Tensor> outputs, const Phases& phases, std::size_t rows, bool inline_run) {
  Served& served = job.served();
  served.stats.succeeded(job.rows, phases, job.arrived_wall, inline_run);
  return {.model = served.name,
          .version = served.version,
          .outputs = std::move(outputs),
          .queue = phases.queue,
          .compute = phases.compute,
          .batch = rows};
}

// Null when the outputs are not by row, or there is no memory for them.
std::optional<std::vector<std::vector<Tensor>>> run_joined(std::span<const TaskPtr> tasks, const std::stop_token& stop,
                                                           std::span<const std::size_t> rows, Phases& phases) {
  Served& served = tasks.front()->job.served();
  std::vector<const Request*> requests;
  for (const TaskPtr& task : tasks) requests.push_back(&task->job.request);
  try {
    base::SteadyTime start = now();
    std::vector<Tensor> inputs = join(requests);
    base::SteadyTime joined = now();
    auto outputs = run(served, inputs, tasks.front()->job.outputs, stop);
    base::SteadyTime computed = now();
    if (!outputs) return std::nullopt;
    auto parts = split(*outputs, rows);
    if (!parts) served.joins.store(false);
    phases = {
        .queue = {}, .input = joined - start, .compute = computed - joined, .output = now() - computed, .total = {}};
    return parts;
  } catch (const std::bad_alloc&) {
    return std::nullopt;
  }
}

// Each ran by itself after their common run failed: where all succeeded, it is the company that the model cannot take.
void note_vain_join(std::span<const TaskPtr> tasks) {
  if (!std::all_of(tasks.begin(), tasks.end(), [](const TaskPtr& task) { return task->result.has_value(); })) return;
  Served& served = tasks.front()->job.served();
  if (served.vain_joins.fetch_add(1, std::memory_order_relaxed) + 1 >= kVainJoinsMax) served.joins.store(false);
}

}  // namespace

Error note_failure(Job& job, Error error, Failure kind) {
  job.served().stats.failed(kind, now() - job.arrived, job.arrived_wall);
  return error;
}

Error cancelled(Job& job) {
  return note_failure(job, {Errc::cancelled, "nobody waits for the answer any more"}, Failure::cancelled);
}

Error too_late(Job& job) {
  const char* passed = now() >= job.deadline ? "the deadline" : "the queue's timeout";
  return note_failure(
      job, {Errc::deadline_exceeded, fmt::format("{} passed before model '{}' could run", passed, job.served().name)},
      Failure::rejected);
}

Result<Response> execute(Job& job, base::SteadyTime entered, base::Duration inline_max, bool inline_run) {
  base::SteadyTime start = now();
  if (start >= job.deadline) return std::unexpected(too_late(job));
  Served& served = job.served();
  job.ran = true;
  auto outputs = run(served, job.request.inputs, job.outputs, job.request.stop);
  base::SteadyTime end = now();
  if (!outputs) {
    Failure kind = kind_of(outputs.error().code);
    return std::unexpected(note_failure(job, std::move(outputs.error()), kind));
  }
  served.cost.record(job.elements, end - start, inline_max);
  Phases phases{.queue = inline_run ? base::Duration{} : start - entered,
                .input = {},
                .compute = end - start,
                .output = {},
                .total = end - job.arrived};
  served.stats.executed(job.rows, phases);
  return answer(job, std::move(*outputs), phases, job.rows, inline_run);
}

void execute(std::span<const TaskPtr> tasks, const std::stop_token& stop, base::Duration inline_max) {
  if (tasks.size() > 1) {
    base::SteadyTime start = now();
    std::vector<std::size_t> rows;
    std::size_t all = 0;
    for (const TaskPtr& task : tasks) all += rows.emplace_back(task->job.rows);
    Phases phases;
    if (auto parts = run_joined(tasks, stop, rows, phases)) {
      Served& served = tasks.front()->job.served();
      served.vain_joins.store(0, std::memory_order_relaxed);
      served.stats.executed(all, phases);
      base::SteadyTime end = now();
      for (std::size_t i = 0; i < tasks.size(); ++i) {
        Job& job = tasks[i]->job;
        job.ran = true;
        phases.queue = start - tasks[i]->entered;
        phases.total = end - job.arrived;
        tasks[i]->result = answer(job, std::move((*parts)[i]), phases, all, false);
      }
      return;
    }
  }
  for (const TaskPtr& task : tasks) {
    Job& job = task->job;
    if (job.request.stop.stop_requested()) {
      task->result = std::unexpected(cancelled(job));
    } else {
      task->result = execute(job, task->entered, inline_max, false);
    }
  }
  if (tasks.size() > 1) note_vain_join(tasks);
}

}  // namespace penstock::infer
